"""How a demo is shown: JSON lines for programs, plain lines for logs, a live page for people."""

import asyncio
import json
import os
import sys
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager, nullcontext
from typing import Any

from rich.columns import Columns
from rich.console import Console, Group
from rich.live import Live
from rich.text import Text

from common.clock import boottime, wall_text
from lab.gather import WORDS, Gatherer
from lab.watch import Entry

_GATHER_S = 1.0
_STYLES = {
    "healthy": "green",
    "late": "yellow",
    "unknown": "dim",
    "explained": "blue",
    "treating": "magenta",
    "sick": "bold red",
}
_KIND_STYLES = {
    "lab": "bold cyan",
    "incident_opened": "bold red",
    "action_started": "bold magenta",
    "action_finished": "magenta",
    "verifying": "yellow",
    "recovered": "bold green",
    "escalated": "bold white on red",
    "wrong": "bold red",
}


class Screen:
    """What a demo shows itself on. By default it shows nothing."""

    def say(self, text: str, node: str | None = None) -> None:
        """Tell what the lab itself did."""

    def entry(self, entry: Entry) -> None:
        """Tell one entry of the supervisor's timeline."""

    def status(self, status: dict[str, Any]) -> None:
        """Take the supervisor's latest picture."""

    def start_clock(self) -> None:
        """Count seconds from now."""

    def summary(self, summary: dict[str, Any], shortcomings: Iterable[str]) -> None:
        """Tell how it ended."""

    def on(self) -> AbstractContextManager[object]:
        """Return what is entered while the demo runs."""
        return nullcontext()


class JsonScreen(Screen):
    """One JSON object a line on stdout."""

    def say(self, text: str, node: str | None = None) -> None:
        """Tell it as an entry of kind `lab`."""
        self.entry({"at": wall_text(), "kind": "lab", "node": node, "text": text})

    def entry(self, entry: Entry) -> None:
        """Print the entry as it came."""
        print(json.dumps(entry), flush=True)

    def summary(self, summary: dict[str, Any], shortcomings: Iterable[str]) -> None:
        """Print the summary last, and what is wrong with it on stderr."""
        for text in shortcomings:
            print(f"pimedic lab: {text}", file=sys.stderr)
        self.entry(summary)


class PlainScreen(Screen):
    """A line of text for each thing that happens, conditions that many share in one line."""

    def __init__(self, console: Console | None = None) -> None:
        self.console = console or Console(highlight=False, soft_wrap=True)
        self._zero: float | None = None
        self._gatherer = Gatherer(self._line, _later)

    def say(self, text: str, node: str | None = None) -> None:  # noqa: ARG002 - the text names it
        """Tell it after everything that came before."""
        self._gatherer.flush()
        self._line("lab", text)

    def entry(self, entry: Entry) -> None:
        """Tell it, perhaps together with others like it."""
        self._gatherer.add(entry)

    def start_clock(self) -> None:
        """Show seconds since now before each line."""
        self._zero = boottime()

    def summary(self, summary: dict[str, Any], shortcomings: Iterable[str]) -> None:
        """Tell the cycles, and how it ended."""
        self._gatherer.flush()
        for cycle in summary["power_cycles"]:
            self._line("power", f"port {cycle['port']} ({cycle['node']}) was cycled")
        found = list(shortcomings)
        for text in found:
            self._line("wrong", text)
        if not found and summary["incidents"]:
            one = summary["incidents"][0]
            self._line("recovered", f"{one['id']} on {one['node']}, in {summary['seconds']:.0f} s")

    def _line(self, kind: str, text: str) -> None:
        since = "" if self._zero is None else f"{boottime() - self._zero:+.1f} s"
        line = Text(f"{since:>9}  {WORDS.get(kind, kind.upper()):<10} ")
        style = _KIND_STYLES.get(kind, "")
        self.console.print(line.append(text, style=style))


class LiveScreen(PlainScreen):
    """The same lines above a picture of all nodes that is always up to date."""

    def __init__(self) -> None:
        super().__init__(Console(highlight=False))
        self._live = Live(console=self.console, auto_refresh=False, transient=True)

    def status(self, status: dict[str, Any]) -> None:
        """Redraw."""
        if status:
            self._live.update(picture(status), refresh=True)

    def on(self) -> AbstractContextManager[object]:
        """Return the live page."""
        return self._live


def picture(status: dict[str, Any]) -> Group:
    """Draw every node in its state's colour and word, under the verdict."""
    tiles = []
    for name, node in status.get("nodes", {}).items():
        state = str(node.get("state"))
        tiles.append(Text(f"{name} {state}", style=_STYLES.get(state, "")))
    verdict = Text(str(status.get("verdict", "")), style="bold")
    return Group(Text(""), verdict, Columns(tiles, padding=(0, 2), equal=True))


def choose(*, as_json: bool) -> Screen:
    """Return the screen that suits whoever reads."""
    if as_json:
        return JsonScreen()
    interactive = sys.stdout.isatty() and os.environ.get("TERM", "dumb") != "dumb"
    return LiveScreen() if interactive else PlainScreen()


def _later(work: Callable[[], None]) -> object:
    return asyncio.get_running_loop().call_later(_GATHER_S, work)
