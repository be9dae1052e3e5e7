"""What can go wrong with a switch, as data: a fault names its kind and when it strikes.

`AT` tells where each kind strikes: at a TCP connection, at the opening of a channel, at an exec
request (one line of shell), at a single `swctrl poe set|restart` inside such a line, or at the
whole switch at once.
To add a kind: name it, give it a place in `AT`, and act on it where that place is handled.
"""

from dataclasses import dataclass
from enum import Enum, StrEnum


class Place(Enum):
    """Where a fault strikes."""

    SWITCH = "switch"  # at once, when it is injected
    CONNECTION = "connection"
    CHANNEL = "channel"
    EXEC = "exec"
    EFFECT = "effect"


class Kind(StrEnum):
    """Every fault the switch can play."""

    REFUSE = "refuse"  # nobody listens, for `seconds`
    REBOOT = "reboot"  # every port without power, and nobody listens, for `seconds`
    UPGRADE = "upgrade"  # a reboot that ends with a new host key
    CROWDED = "crowded"  # strangers hold every place at the login prompt, for `seconds`
    RESET_ON_ACCEPT = "reset_on_accept"
    SILENT = "silent"  # accepts, then never says a word
    CLOSE_BEFORE_BANNER = "close_before_banner"
    BANNER_NOISE = "banner_noise"  # lines before the version, and a login banner
    OTHER_HOST_KEY = "other_host_key"
    AUTH_FAILURE = "auth_failure"
    NO_CHANNEL = "no_channel"  # refuses to open a session
    HANG_BEFORE = "hang_before"  # never runs the command, never answers
    HANG_AFTER = "hang_after"  # runs the command, never answers
    RESET_BEFORE = "reset_before"
    RESET_MID = "reset_mid"  # cut after half of the output; the command goes on
    RESET_AFTER = "reset_after"
    NO_EXIT_STATUS = "no_exit_status"
    SLOW_DRIP = "slow_drip"  # output a character at a time, `seconds` apart
    OUTPUT_NOISE = "output_noise"  # a message of the day around the output
    TRUNCATED = "truncated"  # only the first `amount` characters of the output
    NO_EFFECT = "no_effect"  # exit status 0, and nothing happens
    WRONG_PORT = "wrong_port"  # strikes `port` instead
    LATE_EFFECT = "late_effect"  # happens `seconds` later
    REVERTED = "reverted"  # provisioning sets the port to auto again after `seconds`
    DEVICE_STAYS_DOWN = "device_stays_down"  # power returns, the device doesn't


AT: dict[Kind, Place] = {
    Kind.REFUSE: Place.SWITCH,
    Kind.REBOOT: Place.SWITCH,
    Kind.UPGRADE: Place.SWITCH,
    Kind.CROWDED: Place.SWITCH,
    Kind.RESET_ON_ACCEPT: Place.CONNECTION,
    Kind.SILENT: Place.CONNECTION,
    Kind.CLOSE_BEFORE_BANNER: Place.CONNECTION,
    Kind.BANNER_NOISE: Place.CONNECTION,
    Kind.OTHER_HOST_KEY: Place.CONNECTION,
    Kind.AUTH_FAILURE: Place.CONNECTION,
    Kind.NO_CHANNEL: Place.CHANNEL,
    Kind.HANG_BEFORE: Place.EXEC,
    Kind.HANG_AFTER: Place.EXEC,
    Kind.RESET_BEFORE: Place.EXEC,
    Kind.RESET_MID: Place.EXEC,
    Kind.RESET_AFTER: Place.EXEC,
    Kind.NO_EXIT_STATUS: Place.EXEC,
    Kind.SLOW_DRIP: Place.EXEC,
    Kind.OUTPUT_NOISE: Place.EXEC,
    Kind.TRUNCATED: Place.EXEC,
    Kind.NO_EFFECT: Place.EFFECT,
    Kind.WRONG_PORT: Place.EFFECT,
    Kind.LATE_EFFECT: Place.EFFECT,
    Kind.REVERTED: Place.EFFECT,
    Kind.DEVICE_STAYS_DOWN: Place.EFFECT,
}


@dataclass(frozen=True, slots=True)
class Fault:
    """One fault. It lets `skip` chances pass and then strikes `times` times (None: for ever).

    `match` narrows it to commands that contain that text; connections and channels match by the
    client's address. `seconds`, `port` and `amount` mean what the kind says.
    """

    kind: Kind
    match: str = ""
    skip: int = 0
    times: int | None = 1
    seconds: float = 0.0
    port: int = 0
    amount: int = 0


class Faults:
    """The faults in store, in the order in which they were injected."""

    def __init__(self) -> None:
        self._armed: list[Fault] = []
        self._left: list[tuple[int, int | None]] = []

    def add(self, fault: Fault) -> None:
        """Arm `fault`."""
        self._armed.append(fault)
        self._left.append((fault.skip, fault.times))

    def clear(self) -> None:
        """Disarm everything."""
        self._armed.clear()
        self._left.clear()

    def strike(self, place: Place, text: str) -> Fault | None:
        """Return the fault that strikes `text` now, if any, and count it."""
        struck = None
        for index, fault in enumerate(self._armed):
            if AT[fault.kind] is not place or fault.match not in text:
                continue
            skip, times = self._left[index]
            if skip:
                self._left[index] = skip - 1, times
            elif struck is None and times != 0:
                struck = fault
                self._left[index] = 0, None if times is None else times - 1
        return struck
