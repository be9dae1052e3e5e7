"""Real processes on virtual Pis: each in a process group that can be frozen, thawed, killed."""

import asyncio
import contextlib
import os
import signal
import subprocess
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from common.clock import boottime

_REAP_S = 10.0
_USAGE_ERROR = 2  # our programs' exit code for a configuration that no restart mends
_MAX_DEATHS, _DEATHS_S = 5, 30.0


class Service:
    """One program that a virtual Pi runs. Everything here happens at once, without awaiting.

    `on_end(service, code)` is told when it ended by itself or was killed, never after `end`.
    To be used from the event loop's thread.
    """

    def __init__(
        self,
        name: str,
        command: Sequence[str],
        log: Path,
        environment: Mapping[str, str],
        *,
        restarts: bool = True,
    ) -> None:
        self.name = name
        self.command = tuple(command)
        self.log = log
        self._environment = dict(environment)
        self.restarts = restarts
        self.on_end: Callable[[Service, int], None] = lambda _service, _code: None
        self._deaths: deque[float] = deque(maxlen=_MAX_DEATHS)
        self._process: subprocess.Popen[bytes] | None = None
        self._pidfd = -1
        self.frozen = False

    @property
    def pid(self) -> int | None:
        """The process id, which is the group's id too; None when it doesn't run."""
        return self._process.pid if self._process else None

    def start(self) -> None:
        """Start it, unless it runs. Raises `OSError` when the program can't be executed."""
        if self._process:
            return
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                self.command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=self._environment,
                start_new_session=True,
            )
        self.frozen = False
        self._pidfd = os.pidfd_open(self._process.pid)
        asyncio.get_running_loop().add_reader(self._pidfd, self._ended)

    def freeze(self) -> None:
        """Stop it in its tracks, as a process does whose page never arrives."""
        if self._process and not self.frozen:
            self._signal(signal.SIGSTOP)
            self.frozen = True

    def thaw(self) -> None:
        """Let it go on where it stood."""
        if self._process and self.frozen:
            self._signal(signal.SIGCONT)
            self.frozen = False

    def kill(self) -> None:
        """Kill it as `kill -9` from outside does: it may be started again, see `restarts`."""
        self._signal(signal.SIGKILL)

    def end(self) -> None:
        """End it as a power cut does, for good; returns when its sockets are closed."""
        if self._process:
            self._signal(signal.SIGKILL)
            self._reap()

    def _signal(self, number: signal.Signals) -> None:
        if self._process:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._process.pid, number)

    def _reap(self) -> int:
        process, self._process = self._process, None
        if process is None:
            return 0
        asyncio.get_running_loop().remove_reader(self._pidfd)
        os.close(self._pidfd)
        self.frozen = False
        return process.wait(timeout=_REAP_S)

    def _ended(self) -> None:
        if self._process:
            self._signal(signal.SIGKILL)  # whatever it left in its group
        self.on_end(self, self._reap())

    def may_restart(self, code: int) -> bool:
        """Tell whether to try again, as systemd's start limit and RestartPreventExitStatus= do."""
        self._deaths.append(boottime())
        often = len(self._deaths) == _MAX_DEATHS and self._deaths[-1] - self._deaths[0] < _DEATHS_S
        return code != _USAGE_ERROR and not often

    def last_words(self, lines: int = 5) -> str:
        """Return the end of its log."""
        with contextlib.suppress(OSError):
            return "\n".join(self.log.read_text(errors="replace").splitlines()[-lines:])
        return ""
