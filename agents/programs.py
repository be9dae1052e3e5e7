"""Starting other programs without risking the heartbeat.

Programs lie on the root file system. While an NFS root stalls, `exec` hangs, and with vfork
the kernel suspends the calling thread *inside* the call, with the interpreter's lock held:
the whole agent would stand still. So: plain fork, and only ever in a thread of its own.
"""

import contextlib
import os
import signal
import subprocess
import threading
from collections.abc import Sequence
from dataclasses import dataclass

from common.clock import boottime

# Documented switches of the subprocess module (see its notes on vfork and posix_spawn).
subprocess._USE_VFORK = False  # type: ignore[misc]  # noqa: SLF001 - no public name
subprocess._USE_POSIX_SPAWN = False  # type: ignore[misc]  # noqa: SLF001 - likewise

_MOST_OUTPUT = 64 * 1024


class ProgramError(Exception):
    """A program could not be started, or didn't end in time. Its text is for people."""


@dataclass(frozen=True, slots=True)
class Ended:
    """How a program ended. Texts are cut to a bound."""

    status: int
    output: str
    errors: str

    @property
    def complaint(self) -> str:
        """The first line it complained with, or its exit status."""
        lines = (self.errors or self.output).strip().splitlines()
        return lines[0][:300] if lines else f"exit status {self.status}"


class Programs:
    """Runs programs, and ends those still running when the agent stops. Safe for threads."""

    def __init__(self) -> None:
        self._running: set[subprocess.Popen[str]] = set()
        self._lock = threading.Lock()
        self._ended = False

    def run(self, argv: Sequence[str], deadline_s: float) -> Ended:
        """Run `argv` to its end, for `deadline_s` seconds at most. Blocks: call it in a thread.

        Only a program that the kernel can't kill (state D) holds the thread for longer.
        """
        begun = boottime()
        child = self._start(argv)
        try:
            # A start that hung must not take effect late, after a thaw: what is left may be 0.
            left_s = max(0.0, deadline_s - (boottime() - begun))
            output, errors = child.communicate(timeout=left_s)
        except subprocess.TimeoutExpired:
            _kill(child)
            child.communicate()
            raise ProgramError(f"{argv[0]} did not end within {deadline_s:g} s") from None
        finally:
            with self._lock:
                self._running.discard(child)
        return Ended(child.returncode, output[:_MOST_OUTPUT], errors[:_MOST_OUTPUT])

    def end(self) -> None:
        """Kill what is running, and whatever a hanging start may still bring forth."""
        with self._lock:
            self._ended = True
            for child in self._running:
                _kill(child)

    def _start(self, argv: Sequence[str]) -> "subprocess.Popen[str]":
        try:
            child = subprocess.Popen(  # noqa: S603 - argv is the configured program, no shell
                argv,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                encoding="utf-8",
                errors="replace",
                start_new_session=True,  # a group of its own, to be killed as one
            )
        except (OSError, ValueError) as error:
            raise ProgramError(f"{argv[0]} can't be started: {error}") from None
        with self._lock:
            self._running.add(child)
            if self._ended:
                _kill(child)
        return child


def _kill(child: "subprocess.Popen[str]") -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(child.pid, signal.SIGKILL)
