"""`kernel_reports`: the kernel itself complained lately, one subject per complaint.

Source: /dev/kmsg, from our start on. The patterns are the table below, written after the
kernel's own format strings. A complaint stands for `FOR_S` after it was last heard, or until
the kernel takes it back.
"""

import asyncio
import re
from collections.abc import Callable
from dataclasses import dataclass

from agents.detector import DetectorError
from agents.kernel_messages import KernelMessages, Message
from common.clock import boottime
from common.observations import Truth
from common.wire import WireObservation

KIND = "kernel_reports"
FOR_S = 300.0


@dataclass(frozen=True, slots=True)
class Pattern:
    """A complaint, and the words that take it back, if there are any."""

    subject: str
    says: re.Pattern[str]
    takes_back: re.Pattern[str] | None = None


def _pattern(subject: str, says: str, takes_back: str = "") -> Pattern:
    return Pattern(subject, re.compile(says), re.compile(takes_back) if takes_back else None)


# subject, complaint, what takes it back; the first complaint that fits a message counts
PATTERNS = (
    _pattern("nfs", r"nfs: server \S+ not responding", r"nfs: server \S+ OK"),
    _pattern("hung_task", r"INFO: task .+ blocked (in I/O wait )?for more than \d+ seconds"),
    _pattern("ext4", r"EXT4-fs (error|warning \(device \S+\): ext4_end_bio)|EXT4-fs .*emounting "
             r"filesystem read-only|(Aborting|Detected aborted) journal"),
    _pattern("io_error", r"I/O error|rejecting I/O to offline device|Medium Error"),
    _pattern("oom", r"[Oo]ut of memory: Killed process|invoked oom-killer"),
    _pattern("undervoltage", r"[Uu]nder-?voltage detected", r"Voltage normalised"),
    _pattern("link_down", r"\b(eth|en|end|wlan)\w*: [Ll]ink is [Dd]own|NIC Link is Down",
             r"\b(eth|en|end|wlan)\w*: [Ll]ink is [Uu]p|NIC Link is Up"),
    _pattern("stall", r"rcu: INFO: rcu\w* (self-)?detected|soft lockup|hard LOCKUP"),
    _pattern("crash", r"Kernel panic|Internal error: Oops|BUG: |general protection fault"),
)  # fmt: skip
_ANY = re.compile("|".join(pattern.says.pattern for pattern in PATTERNS))
_TAKEN_BACK = tuple(pattern for pattern in PATTERNS if pattern.takes_back)


@dataclass(frozen=True, slots=True)
class _Heard:
    text: str
    at: float
    times: int


class Complaints:
    """What was heard and not taken back; one entry a pattern. Instants are given."""

    def __init__(self) -> None:
        self._heard: dict[str, _Heard] = {}

    def hear(self, text: str, now: float) -> bool:
        """Take note of a message; tell whether the set of complaints may have changed."""
        for pattern in _TAKEN_BACK:
            if pattern.subject in self._heard and pattern.takes_back.search(text):  # type: ignore[union-attr]  # chosen by it
                del self._heard[pattern.subject]
                return True
        if not _ANY.search(text):
            return False
        subject = next(pattern.subject for pattern in PATTERNS if pattern.says.search(text))
        before = self._heard.get(subject)
        self._heard[subject] = _Heard(text[:300], now, before.times + 1 if before else 1)
        return before is None

    def standing(self, now: float) -> list[WireObservation]:
        """Return the complaints that stand, or one observation that there are none."""
        for subject in [name for name, heard in self._heard.items() if now - heard.at > FOR_S]:
            del self._heard[subject]
        found = [
            WireObservation(
                kind=KIND,
                status=Truth.TRUE,
                subject=subject,
                detail=heard.text if heard.times == 1 else f"{heard.text} ({heard.times} times)",
                value=heard.times,
            )
            for subject, heard in self._heard.items()
        ]
        quiet = WireObservation(kind=KIND, status=Truth.FALSE, detail="no complaint lately")
        return found or [quiet]


class KernelLog:
    """Listens to the kernel's log."""

    name = "kernel_log"
    kinds = (KIND,)
    period_s = 10.0
    deadline_s = 1.0

    def __init__(self, messages: KernelMessages) -> None:
        self._messages = messages
        self._complaints = Complaints()
        self._deaf = ""
        self._absent = False

    async def observe(self) -> list[WireObservation]:
        """Say what stands; touches memory only. Raises while the log can't be read."""
        if self._absent:
            return []
        if self._deaf:
            raise DetectorError(self._deaf)
        return self._complaints.standing(boottime())

    async def watch(self, look_now: Callable[[], None]) -> None:
        """Listen. Raises `OSError` where the log can't be opened, which makes us deaf."""

        def hear(message: Message) -> None:
            if self._complaints.hear(message.text, boottime()):
                look_now()

        try:
            async with self._messages.heard_by(hear):
                self._deaf = ""
                look_now()
                await asyncio.Event().wait()
        except FileNotFoundError:  # a container without the device: no data
            self._absent = True
            look_now()
            await asyncio.Event().wait()
        except OSError as error:
            self._deaf = f"{self._messages.path}: {error.strerror}"
            look_now()
            raise
