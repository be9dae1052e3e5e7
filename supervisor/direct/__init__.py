"""The supervisor's hands without the supervisor: for a person on its machine while it is down.

Law: the same core, rails, journal and power service as the daemon, put together without senses
and without automatic treatment. It holds the journal's writer lock, so it never acts beside a
supervisor; what it leaves unfinished, the next one finishes.
"""
