"""Reasons not to touch a port: the last line of defence, behind the core's rails."""

from dataclasses import dataclass

from supervisor.actuators.power.breaker import Breaker
from supervisor.actuators.power.orders import Kind, Outlets, PowerRequest
from supervisor.actuators.power.settings import PowerSettings
from supervisor.journal.ages import Stamp, age_of
from supervisor.journal.intents import Intent, Intents, IntentState


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why not, for people. `retry_in_s` (seconds) is set where time alone heals it."""

    reason: str
    retry_in_s: float | None = None


class Refusals:
    """Each method returns the refusal, or None if nothing speaks against the order."""

    def __init__(
        self, outlets: Outlets, intents: Intents, settings: PowerSettings, breaker: Breaker
    ) -> None:
        self._outlets = outlets
        self._intents = intents
        self._settings = settings
        self._breaker = breaker

    def off_time(self, request: PowerRequest) -> float:
        """Return how long a cycle keeps the port off, in seconds."""
        return self._settings.default_off_s if request.off_s is None else request.off_s

    def at_sight(self, kind: Kind, request: PowerRequest) -> Refusal | None:
        """Look at the request alone."""
        outlet = self._outlets.get(request.node)
        low, high = self._settings.min_off_s, self._settings.max_off_s
        if outlet is None:
            return Refusal(f"the inventory has no port for {request.node!r}")
        if outlet.protected and kind != "on" and not request.allow_protected:
            return Refusal(f"port {outlet.port} of {request.node} is protected")
        if kind == "cycle" and not low <= self.off_time(request) <= high:
            return Refusal(f"off for {self.off_time(request):g} s: must be {low:g} to {high:g} s")
        if self._breaker.reason:
            return Refusal(f"the breaker is open: {self._breaker.reason}")
        return None

    def by_history(self, kind: Kind, request: PowerRequest) -> Refusal | None:
        """Look at what the journal says. Raises `JournalError`."""
        if request.action_id and any(
            intent.state is not IntentState.FAILED
            for intent in self._intents.of_action(request.action_id)
        ):
            said = f"action {request.action_id} was carried out before, or may have been"
            return Refusal(said)
        if kind == "on":
            return None
        port = self._outlets[request.node].port
        if kind == "cycle" and port in self._intents.ports_off_by_hand():
            return Refusal(f"a person switched port {port} off; it takes an `on` by hand first")
        for intent in self._intents.unfinished():
            if intent.port == port:
                said = f"an earlier {intent.kind} of port {port} is not settled ({intent.state})"
                return Refusal(said, retry_in_s=self._settings.retry_max_s)
        if kind == "cycle" and not request.skip_cool_down:
            return self._cool_down(port)
        return None

    def _cool_down(self, port: int) -> Refusal | None:
        """Count from the end of the last act that may have moved the port, over restarts too."""
        last = self._intents.last_sent(port)
        if last is None:
            return None
        age = _age_of(last)
        left = self._settings.cool_down_s - age
        if left <= 0:
            return None
        said = f"the last {last.kind} of port {port} ended {age:.0f} s ago: cool-down"
        return Refusal(f"{said}, {left:.0f} s more", retry_in_s=left)


def _age_of(intent: Intent) -> float:
    now = Stamp.now()
    return age_of(intent.boot_id, intent.at_boottime, now.boot_id, now.at_boottime)
