"""Killing a process at every instant that its code has, and seeing what the next one makes of it.

Law: the real code runs, in real processes that really die (SIGKILL); only hardware is faked.
`instants` says what an instant is, `children` forks and waits, `rack` is the switch that goes
on living, `power` is the scenario: a power cycle cut short.
"""
