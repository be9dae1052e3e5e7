"""Reasons not to touch a port: the last line of defence, behind the core's rails."""

from supervisor.actuators.power.breaker import Breaker
from supervisor.actuators.power.orders import Kind, Outlets, PowerRequest
from supervisor.actuators.power.settings import PowerSettings
from supervisor.journal.intents import Intents, IntentState


class Refusals:
    """Each method returns the reason, or an empty string if there is none."""

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

    def at_sight(self, kind: Kind, request: PowerRequest) -> str:
        """Look at the request alone."""
        outlet = self._outlets.get(request.node)
        low, high = self._settings.min_off_s, self._settings.max_off_s
        if outlet is None:
            return f"the inventory has no port for {request.node!r}"
        if outlet.protected and kind != "on" and not request.allow_protected:
            return f"port {outlet.port} of {request.node} is protected"
        if kind == "cycle" and not low <= self.off_time(request) <= high:
            return f"off for {self.off_time(request):g} s: must be {low:g} to {high:g} s"
        if self._breaker.reason:
            return f"the breaker is open: {self._breaker.reason}"
        return ""

    def by_history(self, kind: Kind, request: PowerRequest) -> str:
        """Look at what the journal says. Raises `JournalError`."""
        if request.action_id and any(
            intent.state is not IntentState.FAILED
            for intent in self._intents.of_action(request.action_id)
        ):
            return f"action {request.action_id} was carried out before, or may have been"
        if kind == "on":
            return ""
        port = self._outlets[request.node].port
        if kind == "cycle" and port in self._intents.ports_off_by_hand():
            return f"a person switched port {port} off; it takes an `on` by hand first"
        for intent in self._intents.unfinished():
            if intent.port == port:
                return f"an earlier {intent.kind} of port {port} is not settled ({intent.state})"
        return ""
