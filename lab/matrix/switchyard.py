"""The switch's process: it plays the fault, kills the supervisor, and keeps the log to judge by."""

import asyncio
import json
import os
import re
import signal
import socket
from collections.abc import Coroutine
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import asyncssh

from lab.matrix.cases import DEATHS, OTHER, PHASES, PORT, Case, Moment, What
from lab.matrix.lockstep import Follower, LockstepLoop, SharedClock
from lab.switch.faults import AT, Fault, Kind, Place
from lab.switch.ports import Transition
from lab.switch.server import FakeSwitch

PLUGGED = (PORT, OTHER)
PORTS = 3  # the first has nothing in it
REPIN_S = 60.0  # after an upgrade, until a person has pinned the new host key
PATIENCE_S = 8.0  # how long a supervisor may be held up by a hanging command or login
_HOLDS_UP = {Kind.SILENT, Kind.HANG_BEFORE, Kind.HANG_AFTER, Kind.SLOW_DRIP}


@dataclass(slots=True)
class Account:
    """What happened in one case, by the switch's own records. Times are the shared clock's."""

    log: list[Transition] = field(default_factory=list)
    commands: list[tuple[float, int, str]] = field(default_factory=list)  # when, session, line
    lives: list[float] = field(default_factory=list)
    deaths: list[float] = field(default_factory=list)
    injected: bool = False
    obstructed: list[tuple[float, float]] = field(default_factory=list)  # from, to
    admin: dict[int, str] = field(default_factory=dict)
    powered: dict[int, bool] = field(default_factory=dict)
    ended: float = 0.0

    def save(self, path: Path) -> None:
        """Write it down as JSON."""
        path.write_text(json.dumps(asdict(self)), encoding="utf-8")

    @classmethod
    def load(cls, path: Path) -> "Account":
        """Read it back."""
        raw = json.loads(path.read_text(encoding="utf-8"))
        raw["log"] = [Transition(**one) for one in raw["log"]]
        raw["admin"] = {int(port): admin for port, admin in raw["admin"].items()}
        raw["powered"] = {int(port): powered for port, powered in raw["powered"].items()}
        return cls(**raw)


class _Watch:
    """Tells when a moment has come."""

    def __init__(self, moment: Moment) -> None:
        self._moment = moment
        self._left = moment.nth
        self._before = _Watch(moment.after) if moment.after else None

    def sees(self, what: What, text: str) -> bool:
        if self._before:
            if self._before.sees(what, text):
                self._before = None
            return False
        moment = self._moment
        if what is not moment.what or not re.search(moment.pattern, text):
            return False
        self._left -= 1
        return self._left < 0


class _ToldLog(list[Transition]):
    """A transition log that tells of each change of power as it happens."""

    def __init__(self, tell: "Switchyard") -> None:
        super().__init__()
        self._tell = tell

    def append(self, one: Transition) -> None:
        super().append(one)
        if one.what == "power":
            self._tell.happens(What(one.after), str(one.port))


class Switchyard(FakeSwitch):
    """A switch on shared time that acts at chosen moments."""

    def __init__(
        self,
        clock: SharedClock,
        case: Case,
        client_key: asyncssh.SSHKey,
        host_key: asyncssh.SSHKey,
        known_hosts: Path,
    ) -> None:
        self.account = Account()
        self._case = case
        self._known_hosts = known_hosts
        self._leader = 0  # the process to kill; none between two lives
        self._lines: dict[asyncio.Task[Any] | None, str] = {}
        self._fault_at = _Watch(PHASES[case.phase]) if case.kind else None
        self._deaths = [_Watch(moment) for moment in DEATHS[case.death]]
        super().__init__(
            authorized_keys=[client_key], host_key=host_key, clock=clock.now, poe_count=PORTS
        )
        self.ports.log = _ToldLog(self)
        for number in PLUGGED:
            self.ports.plug(number, mac=f"dc:a6:32:00:00:{number:02x}")

    def begin_life(self, pid: int) -> None:
        """A supervisor has started, and may be killed."""
        self._leader = pid
        self.account.lives.append(self.clock())
        self.happens(What.LIFE, "")

    def happens(self, what: What, text: str) -> None:
        """Do what was to be done at this moment."""
        fault = self._case.fault
        if fault and self._fault_at and self._fault_at.sees(what, text):
            self._fault_at = None
            self._go_wrong(fault, what)
        seen = [death.sees(what, text) for death in self._deaths]
        if self._leader and seen and seen[0]:
            del self._deaths[0]
            os.kill(self._leader, signal.SIGKILL)
            self._leader = 0
            self.account.deaths.append(self.clock())

    def pin(self) -> None:
        """Write the host key where clients look for it: a person's deed."""
        self._known_hosts.write_text(self.known_hosts_line(), encoding="utf-8")

    def note(self, line: str) -> int:
        """Record that `line` was asked for, and that it may be the moment."""
        session = super().note(line)
        self.account.commands.append((self.clock(), session, line))
        self._lines[asyncio.current_task()] = line
        self.happens(What.EXEC, line)
        return session

    def serve_channel(self, work: Coroutine[Any, Any, None]) -> None:
        """Look after a channel, and tell when it was answered."""

        async def told() -> None:
            await work
            if line := self._lines.pop(asyncio.current_task(), ""):
                self.happens(What.ANSWERED, line)

        super().serve_channel(told())

    async def _serve(self, sock: socket.socket, client: str) -> None:
        self.happens(What.ACCEPT, client)
        await super()._serve(sock, client)

    def _accepts_key(self, user: str, key: asyncssh.SSHKey) -> bool:
        self.happens(What.LOGIN, user)
        return super()._accepts_key(user, key)

    def _go_wrong(self, fault: Fault, what: What) -> None:
        self.account.injected = True
        place = AT[fault.kind]
        on_the_way = place is Place.CONNECTION or fault.kind in {Kind.REFUSE, Kind.CROWDED}
        self.inject(fault)
        if on_the_way and what not in {What.START, What.ACCEPT}:
            self._cut_connections()  # or it would strike nobody
        held_up = fault.seconds if place is Place.SWITCH else 0.0
        if fault.kind in _HOLDS_UP:
            held_up = PATIENCE_S * (fault.times or 1)
        if fault.kind is Kind.LATE_EFFECT:
            held_up = fault.seconds
        if fault.kind is Kind.UPGRADE:
            held_up += REPIN_S
            asyncio.get_running_loop().call_later(held_up, self.pin)
        self.account.obstructed.append((self.clock(), self.clock() + held_up))


def serve(
    clock: SharedClock, control: socket.socket, case: Case, keys: list[asyncssh.SSHKey], place: Path
) -> None:
    """Be the switch of one case, until told to end."""
    yard: list[Switchyard] = []
    over = asyncio.Event()

    def obey(word: str) -> str:
        switch = yard[0]
        match word.split():
            case ["life", pid]:
                switch.begin_life(int(pid))
            case ["port"]:
                return str(switch.port)
            case ["end"]:
                _close(switch, place / "account.json")
                over.set()
            case _:
                raise ValueError(word)
        return ""

    async def main() -> None:
        switch = Switchyard(clock, case, keys[0], keys[1], place / "known_hosts")
        yard.append(switch)
        async with switch:
            switch.pin()
            switch.happens(What.START, "")
            await over.wait()

    loop = LockstepLoop(clock, Follower(clock, control, obey))
    with asyncio.Runner(loop_factory=lambda: loop) as runner:
        runner.run(main())


def _close(switch: Switchyard, path: Path) -> None:
    account = switch.account
    account.log, account.ended = list(switch.ports.log), switch.clock()
    account.admin = {port.number: port.admin for port in switch.ports.poe}
    account.powered = {port.number: port.powered for port in switch.ports.poe}
    account.save(path)
