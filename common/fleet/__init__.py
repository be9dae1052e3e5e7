"""Power for several nodes at once: who is meant, in which order, and when the next may start.

Law: pure. No I/O, no clock; `now` is an argument. Both ways to the switch, through the
supervisor and directly, are planned by what is here.
"""
