"""`FakeSwitch`: the switch as its clients meet it, an ssh server in front of the ports.

It introduces itself as dropbear, knows `publickey` and `password` only, and drops whoever opens
more than five connections without logging in. Commands run on the switch: a client that goes
away doesn't stop them. Each accepted socket is ours before ssh speaks on it, which is what lets
faults strike before the banner.
"""

import asyncio
import contextlib
import socket
import struct
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Collection, Coroutine
from dataclasses import dataclass
from typing import Any, Self

import asyncssh

from lab.switch.ash import Ash, Reader, Streams
from lab.switch.fastpath import Fastpath
from lab.switch.faults import AT, Fault, Faults, Kind, Place
from lab.switch.ports import Latencies, Ports
from lab.switch.session import Channel, Greeter
from lab.switch.swctrl import Quirks, Swctrl

MAX_UNAUTHENTICATED = 5
_ACCEPTS_PER_WAKEUP = 16
_NOISE = b"\r\n*** US-48 maintenance console ***\r\n"
_LINGER_ZERO = struct.pack("ii", 1, 0)


@dataclass(frozen=True, slots=True)
class Executed:
    """One line of shell that a client asked for. `at` is the injected clock's."""

    session: int
    at: float
    line: str


class FakeSwitch:
    """An embeddable UniFi switch on a loopback address.

    `async with FakeSwitch(authorized_keys=[...]) as switch:` listens on `switch.host` and
    `switch.port`. `ports` is what its clients act on, `inject` makes things go wrong, and
    `second_s` says how long a second of the shell's `sleep` lasts.
    """

    def __init__(
        self,
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        user: str = "admin",
        password: str | None = None,
        authorized_keys: Collection[asyncssh.SSHKey] = (),
        host_key: asyncssh.SSHKey | None = None,
        clock: Callable[[], float] = time.monotonic,
        latencies: Latencies | None = None,
        quirks: Quirks | None = None,
        second_s: float = 1.0,
        restart_revives: bool = False,
        poe_count: int = 48,
    ) -> None:
        self.host, self.port, self.user, self.password = host, port, user, password
        self.authorized_keys = {key.public_data for key in authorized_keys}
        self.host_key = host_key or asyncssh.generate_private_key("ssh-ed25519")
        self.clock = clock
        self.ports = Ports(clock, latencies, restart_revives=restart_revives, poe_count=poe_count)
        self.faults = Faults()
        self.swctrl = Swctrl(self.ports, self.faults, quirks or Quirks())
        self.command_lines = {"swctrl"}  # which of swctrl, telnet, cli this model has
        self.executed: list[Executed] = []
        self.accepted = 0
        self.second_s = second_s
        self._listener: socket.socket | None = None
        self._unauthenticated: Counter[str] = Counter()
        self._strangers = 0
        self._connections: set[asyncssh.SSHServerConnection] = set()
        self._sockets: set[socket.socket] = set()
        self._tasks: set[asyncio.Task[Any]] = set()
        self._jobs: set[asyncio.Task[Any]] = set()
        self._due_changed = asyncio.Event()
        self.ports.on_schedule(self._due_changed.set)

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    async def start(self) -> None:
        """Listen; `port` 0 takes a free one and keeps it. Raises OSError."""
        self._listen()
        self._spawn(self._apply_due(), "switch-ports", self._tasks)

    async def aclose(self) -> None:
        """Stop listening, cut every connection and end every running command."""
        self._unlisten()
        self._cut_connections()
        tasks = [*self._tasks, *self._jobs]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def known_hosts_line(self) -> str:
        """Return the line of a known_hosts file that pins the host key."""
        public = self.host_key.export_public_key("openssh").decode().strip()
        where = self.host if self.port == asyncssh.DEFAULT_PORT else f"[{self.host}]:{self.port}"
        return f"{where} {public}\n"

    def inject(self, fault: Fault) -> None:
        """Make something go wrong, now or when its turn comes."""
        if AT[fault.kind] is not Place.SWITCH:
            self.faults.add(fault)
            return
        if fault.kind is Kind.CROWDED:
            self._strangers += MAX_UNAUTHENTICATED
            self._spawn(self._strangers_leave(fault.seconds), "switch-strangers", self._tasks)
            return
        if fault.kind is not Kind.REFUSE:
            self._stop_everything(fault.seconds, fault.kind)
        if fault.kind is Kind.UPGRADE:
            self.host_key = asyncssh.generate_private_key("ssh-ed25519")
        self._unlisten()
        self._spawn(self._listen_later(fault.seconds), "switch-listen-again", self._tasks)

    def run_line(self, line: str, session: int, streams: Streams) -> asyncio.Task[int]:
        """Run a line of shell on the switch, whoever stays connected."""
        attached: list[asyncio.Task[Any]] = []

        def background(work: Awaitable[int], keeps_session: bool) -> None:  # noqa: FBT001 -- Ash's
            task = self._spawn(_awaited(work), "switch-background", self._jobs)
            if keeps_session:
                attached.append(task)

        def swctrl(words: list[str], to: Streams) -> int:
            return self.swctrl.run(words, to.out, to.err, session)

        def other(words: list[str], to: Streams) -> Reader:
            del words

            def act(admin: str, numbers: list[int]) -> None:
                for number in numbers:
                    swctrl(["poe", "set", admin, "id", str(number)], to)

            return Fastpath(self.ports, act, to.out)

        async def job() -> int:
            ash = Ash(
                dict.fromkeys(self.command_lines & {"swctrl"}, swctrl),
                self._sleep,
                background,
                dict.fromkeys(self.command_lines & {"telnet", "cli"}, other),
            )
            status = await ash.run(line, streams)
            if attached:
                await asyncio.wait(attached)
            return status

        return self._spawn(job(), "switch-job", self._jobs)

    def note(self, line: str) -> int:
        """Record that `line` was asked for; return the number of its session."""
        session = len(self.executed) + 1
        self.executed.append(Executed(session, self.clock(), line))
        return session

    def serve_channel(self, work: Coroutine[Any, Any, None]) -> None:
        """Look after one channel for as long as it takes."""
        self._spawn(work, "switch-channel", self._tasks)

    def _listen(self) -> None:
        listener = socket.create_server((self.host, self.port), backlog=64)
        listener.setblocking(False)
        self.port = listener.getsockname()[1]
        self._listener = listener
        asyncio.get_running_loop().add_reader(listener, self._accept)

    def _unlisten(self) -> None:
        if self._listener:
            asyncio.get_running_loop().remove_reader(self._listener)
            self._listener.close()
            self._listener = None

    async def _listen_later(self, seconds: float) -> None:
        await asyncio.sleep(seconds)
        if self._listener is None:
            self._listen()

    async def _strangers_leave(self, seconds: float) -> None:
        await asyncio.sleep(seconds)
        self._strangers -= MAX_UNAUTHENTICATED

    def _stop_everything(self, seconds: float, cause: str) -> None:
        for task in self._jobs:
            task.cancel()
        self._cut_connections()
        self.ports.blackout(seconds, cause)

    def _cut_connections(self) -> None:
        for connection in list(self._connections):
            connection.abort()
        for sock in list(self._sockets):
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)

    def _accept(self) -> None:
        for _ in range(_ACCEPTS_PER_WAKEUP):
            if self._listener is None:
                return
            try:
                sock, (client, *_) = self._listener.accept()
            except OSError:  # nobody else waits
                return
            self.accepted += 1
            if self._unauthenticated[client] + self._strangers >= MAX_UNAUTHENTICATED:
                sock.close()
                continue
            self._unauthenticated[client] += 1
            sock.setblocking(False)
            self._spawn(self._serve(sock, client), "switch-connection", self._tasks)

    async def _serve(self, sock: socket.socket, client: str) -> None:
        fault = self.faults.strike(Place.CONNECTION, client)
        self._sockets.add(sock)
        try:
            connection = await self._greet(sock, client, fault)
        except (OSError, asyncssh.Error, TimeoutError):
            return
        finally:
            self._unauthenticated[client] -= 1
            self._sockets.discard(sock)
        if connection is None:
            return
        self._connections.add(connection)
        try:
            await connection.wait_closed()
        finally:
            self._connections.discard(connection)

    async def _greet(
        self, sock: socket.socket, client: str, fault: Fault | None
    ) -> asyncssh.SSHServerConnection | None:
        kind = fault.kind if fault else None
        host_key, noise = self.host_key, ""
        match kind:
            case Kind.RESET_ON_ACCEPT | Kind.CLOSE_BEFORE_BANNER:
                if kind is Kind.RESET_ON_ACCEPT:
                    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _LINGER_ZERO)
                sock.close()
                return None
            case Kind.SILENT:
                await _swallow(sock)
                return None
            case Kind.BANNER_NOISE:
                await asyncio.get_running_loop().sock_sendall(sock, _NOISE)
                noise = _NOISE.decode()
            case Kind.OTHER_HOST_KEY:
                host_key = asyncssh.generate_private_key("ssh-ed25519")
            case _:
                pass
        return await asyncssh.run_server(
            sock,
            config=None,
            server_factory=lambda: Greeter(
                self._accepts_key if kind is not Kind.AUTH_FAILURE else _accepts_nothing,
                self._accepts_password if kind is not Kind.AUTH_FAILURE else _accepts_nothing,
                lambda: self._open_channel(client),
                noise,
            ),
            server_host_keys=[host_key],
            server_version="dropbear_2020.81",
            kbdint_auth=False,
            gss_host=None,
            login_timeout=60,
            encoding="utf-8",
        )

    def _accepts_key(self, user: str, key: asyncssh.SSHKey) -> bool:
        return user == self.user and key.public_data in self.authorized_keys

    def _accepts_password(self, user: str, password: str) -> bool:
        return user == self.user and self.password is not None and password == self.password

    def _open_channel(self, client: str) -> Channel | None:
        return None if self.faults.strike(Place.CHANNEL, client) else Channel(self)

    async def _apply_due(self) -> None:
        """Apply what comes due on the ports. Only with a real clock: tests may step their own."""
        while True:
            self._due_changed.clear()
            self.ports.run_due()
            due = self.ports.next_due()
            wait = None if due is None else max(due - self.clock(), 0.001)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._due_changed.wait(), wait)

    async def _sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds * self.second_s)

    def _spawn(
        self, work: Coroutine[Any, Any, Any], name: str, among: set[asyncio.Task[Any]]
    ) -> asyncio.Task[Any]:
        task = asyncio.get_running_loop().create_task(work, name=name)
        among.add(task)
        task.add_done_callback(among.discard)
        return task


async def _awaited(work: Awaitable[int]) -> int:
    return await work


async def _swallow(sock: socket.socket) -> None:
    """Read what comes, and never answer."""
    with contextlib.closing(sock):
        while await asyncio.get_running_loop().sock_recv(sock, 4096):
            pass


def _accepts_nothing(_user: str, _secret: object) -> bool:
    return False
