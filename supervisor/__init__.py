"""The supervisor: a pure core that decides, and thin edges that see, act, remember and show.

Law: only `supervisor.daemon` joins core and edges. The edges don't import each other's insides.
"""
