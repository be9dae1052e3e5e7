"""How patient the power service is. Every figure is in seconds unless it says otherwise."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class PowerSettings:
    """Timings of the power service; each has a reason, so change it knowingly."""

    default_off_s: float = 10.0
    """How long a cycle keeps a port off when the request doesn't say."""
    min_off_s: float = 5.0
    """Below about 1 s a device's inrush circuit may never restart; 5 leaves a margin."""
    max_off_s: float = 30.0
    """Longer is a manual `off`: promise 2 allows 60 s until the port is on again."""
    lock_wait_s: float = 120.0
    """How long a request may wait for another one on the same switch before it is refused."""
    status_s: float = 30.0
    """Deadline for one look at all ports. Drivers have tighter ones; these are the last resort."""
    look_s: float = 1.5
    """How long an order waits for a mere look at the ports that is under way, before it ends it
    (which costs a new login). A real switch prints its tables in well under a second."""
    command_s: float = 45.0
    """Deadline for one `off` or `on`: connecting, the command, looking for its effect."""
    cycle_margin_s: float = 90.0
    """Deadline of a cycle beyond its off time: connecting, detection of the device, looks."""
    settle_s: float = 30.0
    """How long an operation itself tries to prove its end before reconciliation takes over."""
    late_effect_s: float = 30.0
    """How long after a command of unknown fate the switch may still carry it out: 20 s seen.
    Until then the operation isn't closed, and the next one on that port has to wait."""
    cool_down_s: float = 180.0
    """No cycle of a port whose last act ended more lately than this: its device is booting."""
    retry_first_s: float = 0.5
    """First pause between tries; doubles each time."""
    retry_max_s: float = 8.0
    """Longest pause between tries: well within the 60 s of promise 2."""
    retry_jitter: float = 0.25
    """Part of each pause that is random (0 to 1), so that two callers don't stay in step."""
    breaker_retry_s: float = 30.0
    """While the breaker is open and a port waits for us: how often to test the login again."""
    idle_look_s: float = 60.0
    """How often the background loop reads the journal although nobody woke it."""
    close_s: float = 60.0
    """How long closing waits for running operations; what isn't done is left to the journal."""
