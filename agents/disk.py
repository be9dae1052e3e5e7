"""The agent's way to the disk: questions to a process that may hang, and knowing that it does.

Nothing else in the agent may open, read or stat a file of the node's root: while the root
stalls, such a call returns when it pleases. `agents.disk_helper` takes the risk instead.

    question unanswered for   what follows
    2 s, not a probe          given up; the helper is killed and replaced: perhaps only this file
                              hangs, and the probe must have its turn
    3 s, a probe              the root is *stalled*: other questions are refused at once
    30 s, 60 s, ... a probe   the helper is killed and replaced, in case only it hangs

A killed helper in state D is still there. While one is, none but probes are asked, and no
other is killed: so there are never more than two. One that wakes just goes on.
"""

import asyncio
import contextlib
import os
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path, PurePosixPath

import agents.programs  # noqa: F401 - it makes every start in this process a plain fork
from agents import disk_helper
from agents.detector import DetectorError
from agents.threads import in_thread
from common.clock import boottime

STALLED_AFTER_S = 3.0
_ANSWER_WITHIN_S = 2.0
_FIRST_PATIENCE_S, _LONGEST_PATIENCE_S = 30.0, 600.0
_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 0.5, 60.0
_MOST_LEAVING = 2
_LEAVE_WITHIN_S = 0.2
_POLL_S = 0.05
_GRACE_S = 0.1
_PROBE = "probe"
# Small files of which every node has some; what an empty one says comes from no disk.
PROBED = ("etc/hostname", "etc/hosts", "etc/fstab", "etc/passwd", "etc/os-release")


class DiskError(DetectorError):
    """The disk could not be asked, or didn't answer. What it answered is an `OSError`."""


class RootStalledError(DiskError):
    """The root is known to be stalled, so it wasn't asked."""


class _HelperGoneError(Exception):
    """The helper has ended."""


class _Helper:
    """One helper process. Making it blocks for as long as the program's file does: a thread."""

    def __init__(self, root: Path) -> None:
        self._number = 0
        self._socket, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._socket.setblocking(False)
        try:
            self.process = subprocess.Popen(  # noqa: S603 - our own program
                [sys.executable, "-I", "-S", disk_helper.__file__, str(root)],
                stdin=theirs.fileno(),
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                env={},
                start_new_session=True,
            )
        except OSError:
            self._socket.close()
            raise
        finally:
            theirs.close()

    async def exchange(self, operation: str, arguments: tuple[bytes, ...]) -> list[bytes]:
        """Ask, and return errno and results. Raises `_HelperGoneError`."""
        loop = asyncio.get_running_loop()
        self._number += 1
        number = b"%d" % self._number
        request = disk_helper.pack([number, operation.encode(), *arguments])
        try:
            await loop.sock_sendall(self._socket, request)
            message = await loop.sock_recv(self._socket, disk_helper.MESSAGE_BYTES)
        except OSError:
            raise _HelperGoneError from None
        answer = disk_helper.unpack(message)
        if answer[:1] != [number]:
            raise _HelperGoneError
        return answer[1:]

    def end(self) -> None:
        """Kill it; it may take its time."""
        self._socket.close()
        self.process.kill()


class Disk:
    """The root file system at `root`. Paths are as the node sees them. Close it.

    For the event loop's thread only. Methods raise `OSError` for what the disk answered, and
    `DiskError` when it didn't within two seconds, or is known not to.
    """

    def __init__(self, root: Path) -> None:
        self._root = root
        self._turn = asyncio.Lock()
        self._helper: _Helper | None = None
        self._starting: asyncio.Future[_Helper] | None = None
        self._leaving: list[subprocess.Popen[bytes]] = []
        self._not_before = 0.0
        self._pause_s = _FIRST_PAUSE_S
        self._stalled_since: float | None = None
        self._closed = False
        self._listeners: set[Callable[[], None]] = set()
        self.answers = asyncio.Event()
        """Set unless the root is stalled."""
        self.answers.set()

    # --- what may be asked -----------------------------------------------------------------

    async def read(self, path: str | Path) -> bytes:
        """Return a file's content, of at most 64 KiB."""
        return (await self._ask("read", path))[0]

    async def names(self, folder: str | Path) -> list[str]:
        """Return the names in a folder, those of folders with a slash behind."""
        return sorted(map(os.fsdecode, await self._ask("names", folder)))

    async def mode(self, path: str | Path) -> int:
        """Return st_mode of what is there; links are followed."""
        return int((await self._ask("mode", path))[0])

    async def exists(self, path: str | Path) -> bool:
        """Tell whether something is there."""
        try:
            await self.mode(path)
        except (FileNotFoundError, NotADirectoryError):
            return False
        return True

    async def target(self, path: str | Path) -> str:
        """Return where a link leads."""
        return os.fsdecode((await self._ask("target", path))[0])

    async def write(self, path: str | Path, content: bytes) -> None:
        """Replace a file at once."""
        await self._ask("write", path, content)

    async def try_to_write(self, folder: str | Path) -> None:
        """Write and sync a file in `folder` that is gone afterwards."""
        await self._ask("try_to_write", folder)

    # --- whether it answers ----------------------------------------------------------------

    def stalled_s(self, now: float) -> float | None:
        """Return for how long the root hasn't answered, or None if it isn't stalled."""
        return None if self._stalled_since is None else now - self._stalled_since

    async def probe(self) -> str:
        """Read from the disk itself, however long it takes; return which file it was."""
        self._expect_answer(boottime())
        try:
            path = await self._probe()
        except OSError:
            self._end_stall()  # it answered, if only with a refusal
            raise
        else:
            self._end_stall()
            return path
        finally:
            self._timer.cancel()

    @contextlib.contextmanager
    def stalls_told_to(self, tell: Callable[[], None]) -> Iterator[None]:
        """Call `tell` whenever a stall begins or ends meanwhile."""
        self._listeners.add(tell)
        try:
            yield
        finally:
            self._listeners.discard(tell)

    async def watch(self, look_now: Callable[[], None]) -> None:
        """Do as `stalls_told_to` for ever: a `Watcher` that only reads the disk needs no more."""
        with self.stalls_told_to(look_now):
            await asyncio.Event().wait()

    def close(self) -> None:
        """End the helper, or leave it to the kernel if it hangs."""
        self._closed = True
        if self._helper:
            self._dismiss(self._helper)
        if self._starting:
            self._starting.add_done_callback(_end_started)
        for process in self._leaving:
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(_LEAVE_WITHIN_S)

    # --- asking ----------------------------------------------------------------------------

    async def _ask(self, operation: str, path: str | Path, *more: bytes) -> list[bytes]:
        if self._stalled_since is not None:
            raise RootStalledError("the root is stalled")
        arguments = (_relative(path), *more)
        try:
            async with asyncio.timeout(_ANSWER_WITHIN_S):
                while self._still_leaving():  # noqa: ASYNC110 - a child's end is no event here
                    await asyncio.sleep(_POLL_S)
                answer = await self._exchange(operation, arguments)
        except TimeoutError:
            raise DiskError(f"{path}: no answer within {_ANSWER_WITHIN_S:g} s") from None
        return _opened(answer, str(path))

    async def _probe(self) -> str:
        candidates = tuple(map(os.fsencode, PROBED))
        patience_s = _FIRST_PATIENCE_S
        while True:
            try:
                async with asyncio.timeout(None if self._still_leaving() else patience_s):
                    answer = await self._exchange(_PROBE, candidates)
            except TimeoutError:
                patience_s = min(2 * patience_s, _LONGEST_PATIENCE_S)
            else:
                return os.fsdecode(_opened(answer, "/")[0])

    async def _exchange(self, operation: str, arguments: tuple[bytes, ...]) -> list[bytes]:
        """Ask one question at a time; whoever gives up on an answer ends the helper."""
        async with self._turn:
            while True:
                helper = await self._at_hand()
                try:
                    answer = await helper.exchange(operation, arguments)
                except _HelperGoneError:
                    self._dismiss(helper)
                except BaseException:
                    self._dismiss(helper)
                    raise
                else:
                    self._pause_s, self._not_before = _FIRST_PAUSE_S, 0.0
                    return answer

    async def _at_hand(self) -> _Helper:
        """Return the helper; start one if there is none. Raises `DiskError`."""
        if self._helper:
            return self._helper
        if self._starting is None:
            self._may_start()
            self._not_before = boottime() + self._pause_s
            self._pause_s = min(2 * self._pause_s, _LONGEST_PAUSE_S)
            self._starting = in_thread(self._start, "start disk helper")
        await asyncio.wait({self._starting})  # it outlives our cancellation
        started, self._starting = self._starting, None
        try:
            self._helper = started.result()
        except OSError as error:
            raise DiskError(f"the disk helper can't be started: {error}") from None
        return self._helper

    def _start(self) -> _Helper:
        """Start one, in a thread; a start that hung until we had closed must come to nothing."""
        helper = _Helper(self._root)
        if self._closed:
            helper.end()
            helper.process.wait()
        return helper

    def _may_start(self) -> None:
        left_s = self._not_before - boottime()
        if left_s > 0:
            raise DiskError(f"the disk helper keeps ending; again in {left_s:.0f} s")
        if len(self._still_leaving()) >= _MOST_LEAVING:
            raise DiskError(f"{_MOST_LEAVING} disk helpers hang and can't be killed")

    def _dismiss(self, helper: _Helper) -> None:
        self._helper = None
        helper.end()
        self._leaving.append(helper.process)

    def _still_leaving(self) -> list["subprocess.Popen[bytes]"]:
        self._leaving = [process for process in self._leaving if process.poll() is None]
        return self._leaving

    # --- stalls ----------------------------------------------------------------------------

    def _expect_answer(self, asked_at: float) -> None:
        """Call it a stall in time, but first read an answer that came while we stood still."""
        loop = asyncio.get_running_loop()

        def late() -> None:
            self._timer = loop.call_later(_GRACE_S, self._begin_stall, asked_at)

        self._timer = loop.call_later(STALLED_AFTER_S - _GRACE_S, late)

    def _begin_stall(self, since: float) -> None:
        if self._stalled_since is None:
            self._stalled_since = since
            self.answers.clear()
            self._tell()

    def _end_stall(self) -> None:
        if self._stalled_since is not None:
            self._stalled_since = None
            self.answers.set()
            self._tell()

    def _tell(self) -> None:
        for tell in tuple(self._listeners):
            tell()


def _end_started(starting: "asyncio.Future[_Helper]") -> None:
    if not starting.cancelled() and not starting.exception():
        starting.result().end()
        starting.result().process.wait()


def _relative(path: str | Path) -> bytes:
    return os.fsencode(str(PurePosixPath(path)).lstrip("/") or ".")


def _opened(answer: list[bytes], path: str) -> list[bytes]:
    number = int(answer[0])
    if number:
        raise OSError(number, os.strerror(number), path)
    return answer[1:]
