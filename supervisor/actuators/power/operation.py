"""One order under way: its intent in the journal, and its phases for the outcome."""

import asyncio
import secrets
from collections.abc import Collection

import structlog

from common import clock
from supervisor.actuators.power.orders import (
    Kind,
    Outlet,
    Phase,
    PortChange,
    PowerOutcome,
    PowerRequest,
    Verdict,
)
from supervisor.journal.errors import JournalError
from supervisor.journal.intents import Intents, IntentState

_log = structlog.get_logger(__name__)


class Operation:
    """Journals each step before the next may happen."""

    def __init__(
        self, intents: Intents, kind: Kind, request: PowerRequest, outlet: Outlet, off_s: float
    ) -> None:
        self.op_id = secrets.token_hex(8)
        self.kind = kind
        self.request = request
        self.outlet = outlet
        self.off_s = off_s
        self._intents = intents
        self._phases: list[Phase] = []
        self._began = clock.boottime()

    @property
    def port(self) -> int:
        """The port it is about."""
        return self.outlet.port

    async def begin(self) -> None:
        """Put the intent on disk; raises `JournalError`, and then nothing may be sent."""
        await asyncio.to_thread(
            self._intents.begin,
            op_id=self.op_id,
            action_id=self.request.action_id,
            node=self.request.node,
            port=self.outlet.port,
            mac=self.outlet.mac,
            kind=self.kind,
            off_s=self.off_s,
            requested_by=self.request.requested_by,
        )
        self._note(IntentState.PLANNED, "")

    async def sending(self, on_before: Collection[int]) -> None:
        """Put on disk that it may reach the switch from now on; raises `JournalError`.

        `on_before`: the ports that are on, for whoever has to tell what it hit.
        """
        await asyncio.to_thread(
            self._intents.advance, self.op_id, IntentState.SENDING, on_before=on_before
        )
        self._note(IntentState.SENDING, "")

    async def advance(self, state: IntentState, detail: str) -> None:
        """Put a later step on disk. A journal that fails now must not keep the port off."""
        self._note(state, detail)
        try:
            await asyncio.to_thread(self._intents.advance, self.op_id, state, detail)
        except JournalError as error:
            _log.error("intent_not_advanced", op_id=self.op_id, state=state, error=str(error))

    def outcome(
        self,
        verdict: Verdict,
        detail: str,
        *,
        settled: bool = False,
        other_ports: tuple[PortChange, ...] = (),
    ) -> PowerOutcome:
        """Say what came of it."""
        _log.info(
            "power_operation", op_id=self.op_id, kind=self.kind, node=self.request.node,
            port=self.port, verdict=verdict, detail=detail,
        )  # fmt: skip
        return PowerOutcome(
            self.op_id, self.kind, self.request.node, self.port, verdict, detail, settled,
            other_ports, tuple(self._phases),
        )  # fmt: skip

    def _note(self, state: IntentState, detail: str) -> None:
        self._phases.append(Phase(state, round(clock.boottime() - self._began, 3), detail))
