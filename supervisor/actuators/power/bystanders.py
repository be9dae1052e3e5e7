"""The ports that nobody asked for: compared before and after, and brought back if they went off."""

import asyncio
import random
import secrets
from collections.abc import Collection, Mapping
from dataclasses import replace

import structlog

from supervisor.actuators.power.driver import PortState
from supervisor.actuators.power.guarded import GuardedDriver
from supervisor.actuators.power.orders import Outlets, PortChange
from supervisor.actuators.power.ports import changes, went_off
from supervisor.actuators.power.settings import PowerSettings
from supervisor.actuators.power.settling import make_on
from supervisor.journal.errors import JournalError
from supervisor.journal.intents import Intents, IntentState

_log = structlog.get_logger(__name__)


class Bystanders:
    """Repairs what an operation did beside its own port. A repair is journalled as any act."""

    def __init__(
        self,
        switch: GuardedDriver,
        intents: Intents,
        outlets: Outlets,
        settings: PowerSettings,
        rng: random.Random,
    ) -> None:
        self._switch = switch
        self._intents = intents
        self._names = {outlet.port: (name, outlet.mac) for name, outlet in outlets.items()}
        self._settings = settings
        self._rng = rng

    async def repair(
        self,
        before: Mapping[int, PortState],
        after: Mapping[int, PortState],
        *,
        port: int,
        cause: str,
    ) -> tuple[PortChange, ...]:
        """Return every port but `port` that changed; those that went off are switched on again.

        An empty `after` says that the switch couldn't be asked, and not that all ports are gone.
        """
        if not after:
            return ()
        found = changes(before, after, but=port)
        gone = [change.port for change in found if went_off(before, after, change.port)]
        if not gone:
            return tuple(found)
        _log.error("other_ports_went_off", ports=gone, cause=cause)
        still_off = await self.restore(gone, cause)
        return tuple(
            replace(change, restored=change.port not in still_off)
            if change.port in gone
            else change
            for change in found
        )

    async def restore(self, gone: Collection[int], cause: str) -> frozenset[int]:
        """Switch on what operation `cause` switched off; return what is not on even so.

        That is left to reconciliation, as each repair is an act of its own in the journal.
        """
        op_ids = {port: secrets.token_hex(8) for port in gone}
        for port, op_id in op_ids.items():
            await self._begin(port, op_id, cause)
        settled = await make_on(self._switch, op_ids, self._settings, self._rng)
        for port, op_id in op_ids.items():
            if port in settled.missing:
                await self._advance(op_id, IntentState.UNKNOWN, "not seen on again")
            else:
                await self._advance(op_id, IntentState.DONE, "seen on again")
        return settled.missing

    async def _begin(self, port: int, op_id: str, cause: str) -> None:
        node, mac = self._names.get(port, ("", ""))
        try:
            await asyncio.to_thread(
                self._intents.begin, op_id=op_id, action_id="", node=node, port=port, mac=mac,
                kind="on", requested_by="pimedic", detail=f"went off during operation {cause}",
            )  # fmt: skip
        except JournalError as error:  # switching on is right with or without a note of it
            _log.error("repair_not_journalled", port=port, error=str(error))
            return
        await self._advance(op_id, IntentState.SENDING, "")

    async def _advance(self, op_id: str, state: IntentState, detail: str) -> None:
        try:
            await asyncio.to_thread(self._intents.advance, op_id, state, detail)
        except JournalError as error:
            _log.error("intent_not_advanced", op_id=op_id, state=state, error=str(error))
