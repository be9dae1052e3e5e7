"""`pimedic power`: ports by hand, one node or all, through the supervisor or in its place.

`commands` parse, `ways` finds the way to the switch, `run` drives an operation, `screen` shows it.
"""
