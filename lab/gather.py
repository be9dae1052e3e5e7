"""Tells a person's story from the timeline: seventeen like lines become one."""

import re
from collections.abc import Callable, Iterable, Mapping
from itertools import groupby
from typing import Any

from lab.watch import Entry

_MANY = 3
_LOST = "heartbeat_lost"
_NUMBERED = re.compile(r"^(?P<stem>.*?)(?P<number>\d+)$")

WORDS = {
    "lab": "LAB",
    "supervisor_started": "MEDIC",
    "condition": "SEEN",
    "incident_opened": "CONCLUDED",
    "explained": "EXPLAINED",
    "action_started": "DOING",
    "action_finished": "DONE",
    "power": "POWER",
    "refused": "HELD BACK",
    "verifying": "PROVING",
    "recovered": "PROVEN",
    "escalated": "ESCALATED",
    "override": "OVERRIDE",
    "self_doubt": "DOUBT",
}
"""Kind of entry -> what it is in the story."""


class Gatherer:
    """Holds conditions back for a moment, and hands them on as one line if many nodes share it.

    `later(work)` has `work()` called after that moment; `tell(kind, text)` prints.
    """

    def __init__(
        self, tell: Callable[[str, str], None], later: Callable[[Callable[[], None]], object]
    ) -> None:
        self._tell, self._later = tell, later
        self._held: dict[tuple[str, str], list[Entry]] = {}
        self._explained: dict[str, set[str]] = {}

    def add(self, entry: Entry) -> None:
        """Take in one entry."""
        data = entry.get("data") or {}
        if entry["kind"] != "condition":
            self.flush()
            self._tell(entry["kind"], entry["text"])
            self._note_explained(entry, data)
            return
        explained = any(entry["node"] in nodes for nodes in self._explained.values())
        if explained and data.get("condition") != _LOST:
            return
        key = (str(data.get("condition")), str(data.get("status")))
        if key not in self._held:
            self._later(lambda: self._release(key))
        self._held.setdefault(key, []).append(entry)

    def _note_explained(self, entry: Entry, data: Mapping[str, Any]) -> None:
        """Of nodes that a root cause explains, only their going and coming back is told."""
        incident = str(entry.get("incident"))
        if entry["kind"] == "explained":
            self._explained[incident] = set(data.get("nodes", ()))
        elif entry["kind"] in {"recovered", "escalated"}:
            self._explained.pop(incident, None)

    def flush(self) -> None:
        """Tell everything that is held back."""
        for key in list(self._held):
            self._release(key)

    def _release(self, key: tuple[str, str]) -> None:
        entries = self._held.pop(key, [])
        if len(entries) < _MANY:
            for entry in entries:
                self._tell(entry["kind"], entry["text"])
            return
        nodes = [entry["node"] or "?" for entry in entries]
        said = entries[0]["text"].removeprefix(f"{nodes[0]}: ").partition(" (")[0]
        self._tell("condition", f"{len(set(nodes))} nodes: {said}: {ranges(nodes)}")


def ranges(names: Iterable[str]) -> str:
    """Shorten a list of names: green1-8, yellow1-3, mlops_master."""
    plain, numbered = list[str](), set[tuple[str, int]]()
    for name in dict.fromkeys(names):
        if found := _NUMBERED.match(name):
            numbered.add((found["stem"], int(found["number"])))
        else:
            plain.append(name)
    parts = []
    for stem, members in groupby(sorted(numbered), key=lambda one: one[0]):
        numbers = [number for _, number in members]
        for _, run in groupby(enumerate(numbers), key=lambda pair: pair[1] - pair[0]):
            row = [number for _, number in run]
            parts.append(f"{stem}{row[0]}" + (f"-{row[-1]}" if len(row) > 1 else ""))
    return ", ".join([*plain, *parts])
