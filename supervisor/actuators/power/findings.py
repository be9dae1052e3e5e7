"""What was found out about a switch, in rows for people and programs."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol, runtime_checkable


class Mark(StrEnum):
    """How it is."""

    GOOD = "good"
    WARNING = "warning"  # works, with a consequence that one should know
    BAD = "bad"  # what relies on it won't work
    UNTESTED = "untested"  # something before it failed, or looking would have changed something


@dataclass(frozen=True, slots=True)
class Finding:
    """One row: what was looked at, in a word or two, how it is, and a sentence."""

    subject: str
    mark: Mark
    text: str


@runtime_checkable
class TellsMore(Protocol):
    """A driver that can tell more of its switch than any driver can."""

    async def findings(self) -> Sequence[Finding]:
        """Look, changing nothing. Raises `PowerError`."""
