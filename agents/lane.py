"""A lane for blocking work: one piece at a time, also when the last one never ended.

A thread stuck on a dead disk can't be stopped. The lane stays taken until it comes back, so
that orders repeated during an outage don't pile up threads.
"""

from collections.abc import Callable
from typing import TypeVar

from agents.threads import in_thread
from agents.treatment import TreatmentError

T = TypeVar("T")


class Lane:
    """Runs functions in a thread, one at a time."""

    def __init__(self) -> None:
        self._taken_by = ""

    async def run(self, name: str, function: Callable[[], T]) -> T:
        """Run `function` and return its result. Raises `TreatmentError` while taken."""
        if self._taken_by:
            raise TreatmentError(f"an earlier {self._taken_by} still hangs")
        self._taken_by = name
        return await in_thread(lambda: self._drive(function), name)

    def _drive(self, function: Callable[[], T]) -> T:
        try:
            return function()
        finally:
            self._taken_by = ""
