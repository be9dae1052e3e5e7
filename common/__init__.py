"""The words both sides speak: inventory, wire protocol, signing, clock, logging.

Law: imports nothing else of ours, and nothing here acts on the world beyond reading
a file it was given or the clock.
"""
