"""What was seen of one port from before a cycle on, and what may be claimed of it."""

from dataclasses import dataclass, field

from supervisor.actuators.power.driver import CycleOutcome, CycleResult, PortState


@dataclass(slots=True)
class Watch:
    """Looks at one port, of which only changes are kept."""

    before: PortState
    seen: list[PortState] = field(init=False)
    was_off: bool = False
    is_on_again: bool = False

    def __post_init__(self) -> None:
        self.seen = [self.before]

    def note(self, state: PortState) -> None:
        """Take note of a look."""
        last = self.seen[-1]
        if (state.admin, state.delivering) != (last.admin, last.delivering):
            self.seen.append(state)
        self.is_on_again = self.was_off and self._is_on(state)
        self.was_off = self.was_off or self.is_off(state)

    def is_off(self, state: PortState) -> bool:
        """An idle port delivers nothing either: only a change, or the setting, is proof."""
        if state.delivering is not False:
            return False
        return self.before.delivering is True or state.admin == "off"

    def _is_on(self, state: PortState) -> bool:
        if state.delivering is True:
            return True
        return self.before.delivering is not True and state.admin == "auto"


def judge(watch: Watch, unknown: str, detail: str) -> CycleResult:
    """Claim what was seen; `unknown` says why nobody knows whether the command was taken."""
    seen = tuple(watch.seen)
    if watch.is_on_again:
        return CycleResult(CycleOutcome.VERIFIED, f"seen off, then on{detail}", seen)
    if watch.was_off:
        said = f"seen off, but not on again; last: {seen[-1].raw!r}{detail}"
        return CycleResult(CycleOutcome.UNKNOWN, said, seen)
    if unknown:
        return CycleResult(CycleOutcome.UNKNOWN, f"{unknown}; never seen off{detail}", seen)
    return CycleResult(
        CycleOutcome.SENT_UNVERIFIED, f"the switch took it, but was never seen off{detail}", seen
    )
