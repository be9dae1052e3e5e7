"""The same switch behind the real thing: dropbear and busybox ash, as a UniFi switch has them.

Only `swctrl` is faked: a script in PATH that asks the port model over a loopback socket. The
login shell reports each line before and after it runs, which is where faults strike. dropbear
takes the user from /etc/passwd, so it runs in a mount namespace with one of its own: needs root.
"""

import asyncio
import contextlib
import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any, Self

import asyncssh

from lab.switch.faults import AT, Fault, Faults, Kind, Place
from lab.switch.ports import Latencies, Ports
from lab.switch.server import Executed
from lab.switch.swctrl import Quirks, Swctrl
from lab.switch.timekeeper import Timekeeper

PLAYS = frozenset(
    {kind for kind, place in AT.items() if place is Place.EFFECT}
    | {Kind.HANG_BEFORE, Kind.HANG_AFTER, Kind.RESET_BEFORE, Kind.RESET_AFTER, Kind.REFUSE}
)
"""The faults that can be played on a real server. A reset is its session killed: a closed TCP."""

_START_S = 10.0
_SHELL = """\
#!/bin/busybox ash
export PATH={place}/bin:/usr/bin:/bin
[ "$1" = -c ] || exit 1
ask() {{ echo "$*" | nc 127.0.0.1 {desk}; }}
SESSION=$(ask exec $PPID "$2")
[ -n "$SESSION" ] || exit 1
export SESSION
ash -c "$2"
status=$?
ask ran $PPID "$2" >/dev/null
exit $status
"""
_SWCTRL = """\
#!/bin/busybox ash
echo "swctrl $SESSION $*" | nc 127.0.0.1 {desk} | {{
    read -r status where
    if [ "$where" = err ]; then cat >&2; else cat; fi
    exit "$status"
}}
"""
_SLEEP = """\
#!/bin/busybox ash
echo "sleep $1" | nc 127.0.0.1 {desk} >/dev/null
"""
_ENTER = """\
mount --bind {place}/passwd /etc/passwd && mount --bind {place}/shells /etc/shells &&
exec dropbear -F -E -s -P {place}/pid -p 127.0.0.1:{port} \\
    -r {place}/hostkey-ed25519 -r {place}/hostkey-rsa
"""
_UNSHARE = ("unshare", "--mount", "--propagation", "private", "sh", "-c")


def why_not() -> str:
    """Return why it can't be had here, or an empty string."""
    missing = [name for name in ("dropbear", "dropbearkey", "busybox") if not shutil.which(name)]
    if missing:
        return f"not installed: {', '.join(missing)}"
    return "" if os.geteuid() == 0 else "a mount namespace with its own /etc/passwd needs root"


class DropbearSwitch:
    """An embeddable switch like `FakeSwitch`, as far as `PLAYS` goes."""

    def __init__(
        self,
        place: Path,
        *,
        authorized_key: asyncssh.SSHKey,
        clock: Callable[[], float] = time.monotonic,
        latencies: Latencies | None = None,
        second_s: float = 1.0,
        poe_count: int = 48,
    ) -> None:
        """`place` is an empty directory for its keys and scripts."""
        self.host, self.port, self.user = "127.0.0.1", _free_port(), "admin"
        self.clock, self.second_s = clock, second_s
        self.ports = Ports(clock, latencies, poe_count=poe_count)
        self.faults = Faults()
        self.swctrl = Swctrl(self.ports, self.faults, Quirks())
        self.executed: list[Executed] = []
        self._place = place
        self._authorized = authorized_key.export_public_key().decode()
        self._timekeeper = Timekeeper(self.ports, clock)
        self._sessions: set[int] = set()
        self._pending: dict[int, Kind] = {}  # by connection: what is to happen after the line
        self._server: asyncio.subprocess.Process | None = None
        self._desk: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[Any]] = set()

    async def __aenter__(self) -> Self:
        self._desk = await asyncio.start_server(self._serve, self.host, 0)
        self._furnish(self._desk.sockets[0].getsockname()[1])
        await self._listen()
        self._spawn(self._timekeeper.run())
        return self

    async def __aexit__(self, *_: object) -> None:
        server = self._server
        self._unlisten()
        self.cut_connections()
        if server:
            await server.wait()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if self._desk:
            self._desk.close()

    @property
    def accepted(self) -> int:
        """How many connections ran a command."""
        return len(self._sessions)

    @property
    def is_listening(self) -> bool:
        """Whether a server runs."""
        return self._server is not None

    def known_hosts_line(self) -> str:
        """Return the line of a known_hosts file that pins the host key."""
        key = ["dropbearkey", "-y", "-f", str(self._place / "hostkey-ed25519")]
        said = subprocess.run(key, capture_output=True, text=True, check=True).stdout
        public = next(line for line in said.splitlines() if line.startswith("ssh-"))
        return f"[{self.host}]:{self.port} {public}\n"

    def inject(self, fault: Fault) -> None:
        """Make something of `PLAYS` go wrong, now or when its turn comes."""
        if fault.kind not in PLAYS:
            raise ValueError(f"{fault.kind} can't be played on a real server")
        if fault.kind is not Kind.REFUSE:
            self.faults.add(fault)
            return
        self._unlisten()
        self._spawn(self._listen_later(fault.seconds))

    def cut_connections(self) -> None:
        """Kill the server's half of every connection. What runs on the switch goes on."""
        for pid in self._sessions:
            _kill(pid)

    def _furnish(self, desk: int) -> None:
        programs = self._place / "bin"
        programs.mkdir()
        for name in ("ash", "sh", "nc", "cat"):
            (programs / name).symlink_to("/bin/busybox")
        for path, text in (
            (self._place / "shell", _SHELL), (programs / "swctrl", _SWCTRL),
            (programs / "sleep", _SLEEP),
        ):  # fmt: skip
            path.write_text(text.format(place=self._place, desk=desk), encoding="utf-8")
            path.chmod(0o755)
        shell = f"{self._place}/shell"
        home = self._place / "home"
        (home / ".ssh").mkdir(parents=True, mode=0o700)
        (home / ".ssh" / "authorized_keys").write_text(self._authorized, encoding="utf-8")
        passwd = f"{self.user}:x:0:0::{home}:{shell}\n"
        (self._place / "passwd").write_text(passwd, encoding="utf-8")
        (self._place / "shells").write_text(f"{shell}\n", encoding="utf-8")
        # Asked for a type that it offers and doesn't have, dropbear 2022.83 fails an assertion.
        for kind in ("ed25519", "rsa"):
            key = ["dropbearkey", "-t", kind, "-f", str(self._place / f"hostkey-{kind}")]
            subprocess.run(key, capture_output=True, check=True)

    async def _listen(self) -> None:
        enter = _ENTER.format(place=self._place, port=self.port)
        with (self._place / "log").open("ab") as log:
            self._server = await asyncio.create_subprocess_exec(
                *_UNSHARE, enter, stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )
        async with asyncio.timeout(_START_S):
            while True:
                with contextlib.suppress(OSError):
                    _, writer = await asyncio.open_connection(self.host, self.port)
                    writer.close()
                    return
                await asyncio.sleep(0.01)

    async def _listen_later(self, seconds: float) -> None:
        await asyncio.sleep(seconds)
        await self._listen()

    def _unlisten(self) -> None:
        if self._server:
            self._server.kill()  # the one that listens; each connection has its own process
            self._server = None

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer one question of a script."""
        if task := asyncio.current_task():
            self._keep(task)
        try:
            word, _, rest = (await reader.readline()).decode().rstrip("\n").partition(" ")
            writer.write((await self._answer(word, rest)).encode())
            await writer.drain()
        except (OSError, asyncio.CancelledError):
            pass  # the script is gone, or the switch is
        finally:
            writer.close()

    async def _answer(self, word: str, rest: str) -> str:
        match word:
            case "exec":
                return await self._before(*rest.split(" ", 1))
            case "ran":
                return await self._after(int(rest.split(" ", 1)[0]))
            case "sleep":
                await asyncio.sleep(float(rest) * self.second_s)
                return ""
            case _:
                session, *words = rest.split()
                return self._run(int(session), words)

    async def _before(self, pid: str, line: str) -> str:
        """Let a line run, by the number of its session; without one the shell ends."""
        self._sessions.add(int(pid))
        session = len(self.executed) + 1
        self.executed.append(Executed(session, self.clock(), line))
        fault = self.faults.strike(Place.EXEC, line)
        match fault.kind if fault else None:
            case Kind.HANG_BEFORE:
                await asyncio.Event().wait()
            case Kind.RESET_BEFORE:
                _kill(int(pid))
                return ""
            case Kind.HANG_AFTER | Kind.RESET_AFTER as kind:
                self._pending[int(pid)] = kind
            case _:
                pass
        return f"{session}\n"

    async def _after(self, pid: int) -> str:
        match self._pending.pop(pid, None):
            case Kind.HANG_AFTER:
                await asyncio.Event().wait()
            case Kind.RESET_AFTER:
                _kill(pid)
            case _:
                pass
        return ""

    def _run(self, session: int, words: list[str]) -> str:
        out: list[str] = []
        err: list[str] = []
        status = self.swctrl.run(words, out.append, err.append, session)
        where = "err" if err else "out"
        return f"{status} {where}\n{''.join(err or out)}"

    def _spawn(self, work: Coroutine[Any, Any, Any]) -> None:
        self._keep(asyncio.get_running_loop().create_task(work))

    def _keep(self, task: asyncio.Task[Any]) -> None:
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


def _kill(pid: int) -> None:
    """Kill a connection's process, unless the number has come to mean another."""
    with contextlib.suppress(OSError):
        if Path(f"/proc/{pid}/comm").read_text(encoding="ascii").strip() == "dropbear":
            os.kill(pid, signal.SIGKILL)


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as sock:
        return int(sock.getsockname()[1])
