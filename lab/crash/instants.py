"""Instants: where a program can die.

An instant is a line about to run, together with the lines of the traced callers above it, and
with what the outside world has seen so far. Recovery knows nothing but the outside world, so
running the same line by the same path again while nothing outside has changed (the next row of
a table, the next round of a poll loop) is the same instant. Nothing else is left out.
"""

import sys
import threading
from collections.abc import Callable, Collection
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any, Self

Place = tuple[str, int]  # file name and line


@dataclass(frozen=True, slots=True)
class Instant:
    """`path` is innermost first; `outside` counts what each part of the world has seen."""

    path: tuple[Place, ...]
    outside: tuple[int, ...]

    def __str__(self) -> str:
        where = " < ".join(f"{file}:{line}" for file, line in self.path)
        return f"{where} {list(self.outside)}"


class Tracer:
    """Calls `visit` before each line of `files` that runs, in every thread of this process."""

    def __init__(
        self,
        files: Collection[Path],
        outside: Callable[[], tuple[int, ...]],
        visit: Callable[[Instant], object],
        at: Place | None = None,
    ) -> None:
        """With `at`, only that line is visited, which is a good deal quicker."""
        self._names = {str(file): file.name for file in files}
        self._line_wanted = at[1] if at else None
        self._outside = outside
        self._visit = visit
        # Every call of any function asks this table, so it is all that is asked.
        wanted = {name for name in self._names if at is None or self._names[name] == at[0]}
        self._by_file: dict[str, Any] = dict.fromkeys(wanted, self._line)

    def __enter__(self) -> Self:
        find = self._by_file.get

        def enter(frame: FrameType, _event: str, _arg: Any) -> Any:
            return find(frame.f_code.co_filename)

        threading.settrace(enter)
        sys.settrace(enter)
        return self

    def __exit__(self, *_: object) -> None:
        sys.settrace(None)
        threading.settrace(None)

    def _line(self, frame: FrameType, event: str, _arg: Any) -> Any:
        if event == "line" and self._line_wanted in {None, frame.f_lineno}:
            self._visit(Instant(tuple(self._path(frame)), self._outside()))
        return self._line

    def _path(self, frame: FrameType) -> list[Place]:
        path = []
        here: FrameType | None = frame
        while here is not None:
            if name := self._names.get(here.f_code.co_filename):
                path.append((name, here.f_lineno))
            here = here.f_back
        return path
