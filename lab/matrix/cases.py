"""What is tried: fault x phase x death x kind of cycle, and how a phase is recognised.

A phase is an event that the *switch* sees, so that it is the same for every driver. A fault is
injected, and a supervisor killed, at the very moment of that event.
"""

import itertools
from dataclasses import dataclass
from enum import StrEnum

from lab.switch.faults import AT, Fault, Kind, Place

PORT, OTHER = 2, 3  # the one to be cycled, and the one that a stray command hits
MODES = ("restart", "detached", "two_steps")
COMMAND = r"restart|nohup|set off"
_LEFT_OUT = 4  # one cell in so many
_STRIDE = 7  # shares no divisor with the numbers of modes and deaths
_REPEATS = 2  # connections in a row that a fault strikes


class What(StrEnum):
    """What the switch can see. The text of an event is the line, or the port."""

    START = "start"  # of the case
    LIFE = "life"  # a supervisor starts
    ACCEPT = "accept"
    LOGIN = "login"
    EXEC = "exec"  # a line arrives; nothing of it has run
    ANSWERED = "answered"
    POWER_OFF = "off"
    POWER_ON = "on"


@dataclass(frozen=True, slots=True)
class Moment:
    """The `nth` event (from 0) of a kind whose text the pattern finds, once `after` has been."""

    what: What
    pattern: str = ""
    nth: int = 0
    after: "Moment | None" = None


_ALL = r"poe show$"
_ONE = r"poe show id"
_AUTO = r"^swctrl poe set auto"
_OFF = Moment(What.POWER_OFF, f"^{PORT}$")
_AGAIN = Moment(What.LIFE, nth=1)
PHASES: dict[str, Moment] = {
    "before connecting": Moment(What.START),
    "login": Moment(What.LOGIN),
    "look at all ports": Moment(What.EXEC, _ALL),
    "look at addresses": Moment(What.EXEC, "mac show"),
    "look at the port": Moment(What.EXEC, _ONE),
    "command": Moment(What.EXEC, COMMAND),
    "command taken": Moment(What.ANSWERED, COMMAND),
    "off": _OFF,
    "proof of off": Moment(What.EXEC, "poe show", after=_OFF),
    "5th look": Moment(What.EXEC, "poe show", nth=4, after=_OFF),
    "on": Moment(What.POWER_ON, f"^{PORT}$", after=_OFF),
    "proof of on": Moment(What.EXEC, "poe show", after=Moment(What.POWER_ON, f"^{PORT}$")),
    "set auto": Moment(What.EXEC, _AUTO),
    "last look": Moment(What.EXEC, _ALL, nth=1),
    "reconcile: connect": Moment(What.ACCEPT, after=_AGAIN),
    "reconcile: look": Moment(What.EXEC, _ALL, after=_AGAIN),
    "reconcile: set auto": Moment(What.EXEC, _AUTO, after=_AGAIN),
}
ALIVE = "no death"
_RECONCILING = tuple(phase for phase in PHASES if phase.startswith("reconcile"))
# One death, or two: the second supervisor dies while it reconciles.
DEATHS: dict[str, tuple[Moment, ...]] = {
    ALIVE: (),
    **{
        f"death at {phase}": (moment,)
        for phase, moment in PHASES.items()
        if phase not in {"before connecting", *_RECONCILING}
    },
    "death at off, death at reconcile: look": (_OFF, PHASES["reconcile: look"]),
    "death at off, death at reconcile: set auto": (_OFF, PHASES["reconcile: set auto"]),
}
_LEAVES_OFF = {f"death at {phase}" for phase in ("off", "proof of off", "5th look")}
FAULTS: dict[Kind, Fault] = {
    fault.kind: fault
    for fault in (
        Fault(Kind.REFUSE, seconds=20),
        Fault(Kind.REBOOT, seconds=90),
        Fault(Kind.UPGRADE, seconds=90),
        Fault(Kind.CROWDED, seconds=20),
        *(Fault(kind, times=_REPEATS) for kind, place in AT.items() if place is Place.CONNECTION),
        Fault(Kind.NO_CHANNEL),
        Fault(Kind.HANG_BEFORE),
        Fault(Kind.HANG_AFTER),
        Fault(Kind.RESET_BEFORE),
        Fault(Kind.RESET_MID),
        Fault(Kind.RESET_AFTER),
        Fault(Kind.NO_EXIT_STATUS),
        Fault(Kind.SLOW_DRIP, seconds=0.1),
        Fault(Kind.OUTPUT_NOISE),
        Fault(Kind.TRUNCATED, amount=300),
        Fault(Kind.NO_EFFECT),
        Fault(Kind.WRONG_PORT, port=OTHER),
        Fault(Kind.LATE_EFFECT, seconds=20),
        Fault(Kind.REVERTED, seconds=5),
        Fault(Kind.DEVICE_STAYS_DOWN),
    )
}


class Without(StrEnum):
    """What a supervisor can be made to lack, to see that the judge finds it wanting."""

    RECOVERY = "recovery"  # whoever starts after a death does nothing
    COOL_DOWN = "cool_down"
    LOOKING = "looking"  # the driver believes what the switch says of its own commands


@dataclass(frozen=True, slots=True)
class Case:
    """One cell of the matrix. Without a fault it is a cycle on a good day, or a death on one."""

    mode: str
    kind: Kind | None
    phase: str
    death: str
    without: Without | None = None

    def __str__(self) -> str:
        return f"{self.mode}, {self.kind or 'no fault'} at {self.phase}, {self.death}"

    @property
    def fault(self) -> Fault | None:
        """The fault, as it is injected."""
        return FAULTS[self.kind] if self.kind else None


def everything() -> list[Case]:
    """Return the whole matrix, and each death without a fault."""
    controls = itertools.product(MODES, [None], ["-"], DEATHS)
    cells = itertools.product(MODES, FAULTS, PHASES, DEATHS)
    cases = [Case(*cell) for cell in itertools.chain(controls, cells)]
    return [case for case in cases if _can_happen(case)]


def some() -> list[Case]:
    """Return three quarters of all faults at all phases, each once, every other one with a death.

    Modes and deaths take turns; which ones is the same each time.
    """
    cells: dict[tuple[object, ...], list[Case]] = {}
    for case in everything():
        cells.setdefault((case.kind, case.phase), []).append(case)
    chosen = []
    for number, cell in enumerate(cells.values()):
        if number % _LEFT_OUT == _LEFT_OUT - 1:
            continue
        alive = [case for case in cell if case.death == ALIVE]
        dying = [case for case in cell if case.death != ALIVE]
        pool = dying if number % 2 or not alive else alive
        chosen.append(pool[number * _STRIDE % len(pool)])
    return chosen


def _can_happen(case: Case) -> bool:
    """Leave out what never comes to pass."""
    if case.mode == "detached" and "set auto" in {case.phase, case.death.removeprefix("death at ")}:
        return False  # the switch does that by itself
    if case.phase == "reconcile: set auto" and case.death not in _LEAVES_OFF:
        return False
    if case.phase in _RECONCILING:
        return case.death != ALIVE
    order = list(PHASES)
    died_at = [order.index(one) for one in order if f"death at {one}" in case.death]
    # Whoever died once the command was sent left a cool-down: no later phase of a cycle comes.
    over = died_at and case.phase in order and order.index("command") <= died_at[0]
    return not over or order.index(case.phase) <= died_at[0]
