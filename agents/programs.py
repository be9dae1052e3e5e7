"""Starting other programs without risking the heartbeat.

Programs lie on the root file system. While an NFS root stalls, `exec` hangs, and with vfork
the kernel suspends the calling thread *inside* the call, with the interpreter's lock held:
the whole agent would stand still. So: plain fork, and only ever in a thread of its own.
"""

import subprocess
from collections.abc import Sequence
from dataclasses import dataclass

from common.clock import boottime

# Documented switch of the subprocess module (see its notes on vfork and posix_spawn).
subprocess._USE_VFORK = False  # type: ignore[misc]  # noqa: SLF001 - no public name
subprocess._USE_POSIX_SPAWN = False  # type: ignore[misc]  # noqa: SLF001 - likewise

_MOST_OUTPUT = 64 * 1024
_REAP_S = 1.0


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


def run(argv: Sequence[str], deadline_s: float) -> Ended:
    """Run `argv` to its end, for `deadline_s` seconds at most. Blocks: call it in a thread."""
    begun = boottime()
    try:
        child = subprocess.Popen(  # noqa: S603 - argv is the configured program, no shell
            argv,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            encoding="utf-8",
            errors="replace",
        )
    except (OSError, ValueError) as error:
        raise ProgramError(f"{argv[0]} can't be started: {error}") from None
    # A start that hung until now must not take effect late, after a thaw: what is left may be 0.
    left_s = max(0.0, deadline_s - (boottime() - begun))
    try:
        output, errors = child.communicate(timeout=left_s)
    except subprocess.TimeoutExpired:
        _end(child)
        raise ProgramError(f"{argv[0]} did not end within {deadline_s:g} s") from None
    return Ended(child.returncode, output[:_MOST_OUTPUT], errors[:_MOST_OUTPUT])


def _end(child: "subprocess.Popen[str]") -> None:
    child.kill()
    try:
        child.communicate(timeout=_REAP_S)
    except subprocess.TimeoutExpired:
        return  # in state D; the kernel ends it when the disk returns
