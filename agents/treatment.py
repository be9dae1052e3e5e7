"""What a treatment is. The command desk owns deadlines, bookkeeping and results."""

from collections.abc import Mapping
from typing import Protocol


class TreatmentError(Exception):
    """A treatment was tried and did not help, or could not be tried. Its text is for people."""


class Treatment(Protocol):
    """One mild act on this node, safe to have been done twice."""

    @property
    def name(self) -> str:
        """What a command calls it."""

    @property
    def needs_root(self) -> bool:
        """Whether it needs the root file system, itself or through PID 1.

        While the root is stalled such a treatment is refused: it would hang, and be done late.
        """

    def refusal(self, arguments: Mapping[str, str]) -> str:
        """Say why these arguments are not allowed here, or nothing if they are."""

    async def carry_out(self, arguments: Mapping[str, str], deadline_s: float) -> str:
        """Do it within `deadline_s` and return the proof. Raises `TreatmentError`."""
