"""How an operation is shown: a live table, plain lines, or JSON lines for programs."""

import contextlib
import json
import sys
from collections.abc import Iterator
from typing import Protocol

from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from common import clock
from common.fleet.progress import Progress, Stage
from console.power.run import Run

_STYLES = {
    Stage.BACK: "green",
    Stage.OFF: "green",
    Stage.ORDERED: "yellow",
    Stage.BOOTING: "yellow",
    Stage.LATE: "bold red",
    Stage.FAILED: "bold red",
    Stage.REFUSED: "red",
}
_TICKS = {Stage.BACK: "✓", Stage.OFF: "✓", Stage.LATE: "!", Stage.FAILED: "✗", Stage.REFUSED: "✗"}


class Screen(Protocol):
    """Where progress goes."""

    def say(self, text: str) -> None:
        """Tell a person something."""

    def tell(self, run: Run, changed: Progress | None) -> None:
        """Show a change, or that time passed."""

    def end(self, run: Run, code: int) -> None:
        """Show how it ended."""


def choose(*, as_json: bool) -> Screen:
    """Return the screen that fits where the output goes."""
    if as_json:
        return JsonLines()
    return LiveTable() if sys.stdout.isatty() else Lines()


def verdict(run: Run) -> str:
    """Return one sentence on all nodes."""
    counts = {stage: [s.member.name for s in run.steps if s.stage is stage] for stage in Stage}
    parts = [f"{len(names)} {stage}" for stage, names in counts.items() if names]
    word = "interrupted" if run.interrupted else "done"
    said = f"{word} after {clock.boottime() - run.began:.0f} s: {', '.join(parts)}"
    left = counts[Stage.NOT_STARTED]
    return said + (f"\nnot started: {' '.join(left)}" if left else "")


@contextlib.contextmanager
def _whoever_still_reads() -> Iterator[None]:
    """A closed terminal or pipe must not end an operation half way."""
    with contextlib.suppress(OSError, ValueError):
        yield


class Lines:
    """One line a change."""

    def say(self, text: str) -> None:
        """Tell a person something."""
        with _whoever_still_reads():
            print(text, flush=True)

    def tell(self, run: Run, changed: Progress | None) -> None:
        """Print a change."""
        if changed:
            at, member = clock.boottime() - run.began, changed.member
            detail = f": {changed.detail}" if changed.detail else ""
            self.say(f"{at:6.1f} s  {member.name} (port {member.port}) {changed.stage}{detail}")

    def end(self, run: Run, code: int) -> None:  # noqa: ARG002 - the shell shows it
        """Print the sum."""
        self.say(verdict(run))


class JsonLines:
    """One JSON object a change, and a last one with everything."""

    def say(self, text: str) -> None:
        """Tell a program something."""
        self._print({"event": "note", "text": text})

    def tell(self, run: Run, changed: Progress | None) -> None:
        """Print a change."""
        if changed:
            at_s = round(clock.boottime() - run.began, 3)
            self._print({"event": "stage", "at_s": at_s, **_step(changed)})

    def end(self, run: Run, code: int) -> None:
        """Print the sum."""
        nodes = [_step(step) for step in run.steps]
        summary = {"kind": run.kind, "interrupted": run.interrupted, "exit": code, "nodes": nodes}
        self._print({"event": "summary", **summary})

    def _print(self, record: dict[str, object]) -> None:
        with _whoever_still_reads():
            print(json.dumps(record), flush=True)


def _step(step: Progress) -> dict[str, object]:
    return {
        "node": step.member.name,
        "port": step.member.port,
        "stage": step.stage.value,
        "detail": step.detail,
    }


class LiveTable(Lines):
    """A table that moves; what it last showed stays."""

    def __init__(self) -> None:
        self._console = Console(highlight=False)
        self._live = Live(console=self._console, auto_refresh=False)

    def say(self, text: str) -> None:
        """Tell a person something, above the table."""
        with _whoever_still_reads():
            self._console.print(text, markup=False)

    def tell(self, run: Run, changed: Progress | None) -> None:  # noqa: ARG002 - all is redrawn
        """Redraw."""
        with _whoever_still_reads():
            if not self._live.is_started:
                self._live.start()
            self._live.update(_table(run), refresh=True)

    def end(self, run: Run, code: int) -> None:
        """Leave the last table standing."""
        with _whoever_still_reads():
            self._live.update(_table(run), refresh=True)
            self._live.stop()
        super().end(run, code)


def _table(run: Run) -> Group:
    table = Table("node", "port", "stage", "for", "", box=None, pad_edge=False)
    now = clock.boottime()
    for step in run.steps:
        stage = Text(f"{_TICKS.get(step.stage, ' ')} {step.stage}", _STYLES.get(step.stage, "dim"))
        for_s = "" if step.stage.is_over else f"{now - step.since:.0f} s"
        detail = Text(step.detail, overflow="ellipsis", no_wrap=True)
        table.add_row(step.member.name, str(step.member.port), stage, for_s, detail)
    over = sum(step.stage.is_over for step in run.steps)
    waits = "finishing what has begun" if run.interrupted else run.waits_for
    hint = f", next waits: {waits}" if waits else ""
    return Group(table, Text(f"{over} of {len(run.steps)}{hint}", "dim", no_wrap=True))
