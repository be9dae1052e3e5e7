"""`sysrq`: the last resort: the kernel itself syncs, remounts read-only and reboots.

Works when nothing else can: no program is started and no file is opened, because the trigger
was opened when the agent started. [T] with a stalled NFS root it is the only way left.
Source: the kernel's admin-guide/sysrq; s and u are only queued, b comes at once and without
unmounting anything. Writing to the trigger needs no enabled bit of kernel.sysrq.

Nobody has it unless the configuration says --allow-sysrq.
"""

import asyncio
import os
from collections.abc import Mapping
from pathlib import Path

from agents.treatment import TreatmentError
from common.tasks import spawn

_PAUSE_S = 2.0  # for the sync and the remount, and for the result to reach the supervisor


class Sysrq:
    """Takes no arguments. Raises `OSError` if it can't be made ready."""

    name = "sysrq"
    needs_root = False

    def __init__(self, procfs: Path, pause_s: float = _PAUSE_S) -> None:
        self._trigger = os.open(procfs / "sysrq-trigger", os.O_WRONLY | os.O_CLOEXEC)
        self._pause_s = pause_s

    def refusal(self, arguments: Mapping[str, str]) -> str:
        """Allow no arguments."""
        return "expected no arguments" if arguments else ""

    async def carry_out(self, arguments: Mapping[str, str], deadline_s: float) -> str:  # noqa: ARG002 - a port
        """Sync and remount now, reboot in a moment: until then this result can be told."""
        for key in (b"s", b"u"):
            self._press(key)
        spawn(self._boot(), "sysrq b")
        return f"accepted: synced, remounted read-only, boots in {self._pause_s:g} s"

    async def _boot(self) -> None:
        await asyncio.sleep(self._pause_s)
        self._press(b"b")

    def _press(self, key: bytes) -> None:
        try:
            os.write(self._trigger, key)
        except OSError as error:
            raise TreatmentError(f"sysrq {key.decode()}: {error.strerror}") from None
