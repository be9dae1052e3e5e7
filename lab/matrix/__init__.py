"""Every fault of the switch at every phase of a power cycle, with and without a death.

Law: the real service, driver, journal and ssh run in real processes that really die (SIGKILL);
only the switch is faked, and time: both sides' clocks jump together when neither has anything
to do, so that the timings are those of production and a case takes a fraction of a second.
`cases` lists what is tried, `lockstep` is the time, `switchyard` the switch's process,
`lives` the supervisor's, `judge` the verdict, from the switch's own log; `run` ties them.
"""
