"""One virtual clock for two processes: it jumps to the next timer once both are idle.

The *leader* (the supervisor) asks the *follower* (the switch) whether it is idle and when its
next timer is due, looks at its own sockets once more, and only then lets the clock jump. The
follower outlives any number of leaders; a reply that a dead one asked for is told by its token.
"""

import asyncio
import itertools
import math
import mmap
import os
import select
import selectors
import socket
import struct
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

_MOST = 4096
_GRACE_S = 0.0005  # real seconds: the kernel's own delivery on loopback
_BEGIN_S = 100_000.0  # an uptime past any cool-down
Event = tuple[selectors.SelectorKey, int]


class SharedClock:
    """Seconds since boot, in memory shared with every process forked later."""

    def __init__(self) -> None:
        self._memory = mmap.mmap(-1, 8)
        self.jump(_BEGIN_S)

    def now(self) -> float:
        """Return the time."""
        return float(struct.unpack("d", self._memory[:8])[0])

    def jump(self, to: float) -> None:
        """Set the time."""
        self._memory[:8] = struct.pack("d", to)


class Control:
    """The leader's end of the conversation. One at a time."""

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        self._count = itertools.count()

    def ask(self, word: str) -> str:
        """Send `word`, and return the answer once the follower is idle."""
        token = f"{os.getpid()}.{next(self._count)}"
        self._sock.send(f"{token} {word}".encode())
        while data := self._sock.recv(_MOST):
            got, _, answer = data.decode().partition(" ")
            if got == token:
                return answer
        raise RuntimeError("the switch's process is gone: see switch.log")


class Leader(selectors.EpollSelector):
    """Waits by letting time jump."""

    def __init__(self, clock: SharedClock, control: Control) -> None:
        super().__init__()
        self._clock = clock
        self._control = control

    def select(self, timeout: float | None = None) -> list[Event]:
        """Return what is ready; if nothing is on either side, jump to the next timer."""
        events = super().select(0)
        if events or (timeout is not None and timeout <= 0):
            return events
        theirs = float(self._control.ask("idle"))
        if events := super().select(_GRACE_S):
            return events
        ours = math.inf if timeout is None else self._clock.now() + timeout
        if (to := min(ours, theirs)) == math.inf:
            raise RuntimeError("nothing will ever happen: a wait without a deadline")
        self._control.ask(f"jump {to!r}")
        return []


class Follower(selectors.EpollSelector):
    """Waits until the leader lets time jump. `obey` handles every other word it sends."""

    def __init__(self, clock: SharedClock, sock: socket.socket, obey: Callable[[str], str]) -> None:
        super().__init__()
        self._clock = clock
        self._sock = sock
        self._obey = obey

    def select(self, timeout: float | None = None) -> list[Event]:
        """Return what is ready; if nothing is, do what the leader says."""
        events = super().select(0)
        if events or (timeout is not None and timeout <= 0):
            return events
        due = math.inf if timeout is None else self._clock.now() + timeout
        while True:
            select.select([self.fileno(), self._sock.fileno()], [], [])
            if events := super().select(0):
                return events
            data = self._sock.recv(_MOST)
            if not data:
                raise SystemExit(0)  # whoever started us is gone
            token, _, word = data.decode().partition(" ")
            if word == "idle":
                self._sock.send(f"{token} {due!r}".encode())
                continue
            answer = self._say(word)
            self._sock.send(f"{token} {answer}".encode())
            return []

    def _say(self, word: str) -> str:
        if word.startswith("jump "):
            self._clock.jump(float(word.removeprefix("jump ")))
            return ""
        return self._obey(word)


class LockstepLoop(asyncio.SelectorEventLoop):
    """An event loop on the shared clock. Work for threads is done at once, in this one."""

    def __init__(self, clock: SharedClock, selector: Leader | Follower) -> None:
        super().__init__(selector)
        self._shared = clock
        self.set_default_executor(_AtOnce())

    def time(self) -> float:
        """Return the shared time."""
        return self._shared.now()


class _AtOnce(ThreadPoolExecutor):
    """Does the work before it returns: a thread would go on while time jumps."""

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        done: Future[Any] = Future()
        try:
            done.set_result(fn(*args, **kwargs))
        except Exception as error:  # noqa: BLE001 - handed on, whatever it is
            done.set_exception(error)
        return done
