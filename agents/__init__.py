"""The watchdog agent: what a node says of itself, and the mild treatments it may carry out.

Law: imports only `common`. The heartbeat path touches no disk; a detector observes and
never treats; a treatment runs only when the supervisor ordered it, at most once.
"""
