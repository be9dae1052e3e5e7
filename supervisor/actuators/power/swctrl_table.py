"""Reads the table of `swctrl poe show`, by column, or refuses.

The row of dashes says where columns stand, and the titles above it what they are. Cells may
hold single spaces (`Class 4`) and may be wider than their column (`-1096017060` in a column
of eight), which pushes the rest of the row to the right by exactly the excess. Everything
that doesn't fit this geometry is refused: a switch is never driven by a guess.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

_RULER = re.compile(r"\s*-{2,}(?:\s+-{2,})+\s*")
_TITLE = re.compile(r"(?P<name>[^()]*?)\s*(?:\((?P<unit>[^()]*)\))?")
_COLUMNS = {"port": {1}, "opmode": {1}, "poepwr": {1}, "class": {0, 1}, "power": {0, 1}}
_LEAST_GAP = 2  # as a cell may hold single spaces
_MOST_WATTS = 100.0  # 802.3bt ends at 90 W a port
_UNITS_PER_WATT = {"w": 1.0, "mw": 1000.0}


class TableError(Exception):
    """The output isn't a table whose every row can be told. Its text is for people."""


@dataclass(frozen=True, slots=True)
class PoeRow:
    """One port. Cells that say nothing known are `unknown` or None, never a guess."""

    port: int
    admin: Literal["auto", "off", "unknown"]
    delivering: bool | None
    watts: float | None
    pd_class: str | None
    raw: str


@dataclass(frozen=True, slots=True)
class _Column:
    start: int
    end: int
    name: str
    unit: str


def parse(text: str, *, ports: int) -> dict[int, PoeRow]:
    """Return every row by port number, 1 to `ports`. Raises TableError."""
    if not text:
        raise TableError("there is no output")
    if not text.endswith("\n"):
        raise TableError("the output ends in the middle of a line")
    lines = [line.rstrip("\r") for line in text.split("\n")]
    rulers = [number for number, line in enumerate(lines) if _RULER.fullmatch(line)]
    if not rulers:
        raise TableError("there is no row of dashes, so no table")
    columns = _columns(lines, rulers[0])
    rows: dict[int, PoeRow] = {}
    for line in _body(lines, rulers):
        row = _row(_cells(line, columns), columns, line)
        if not 1 <= row.port <= ports:
            raise TableError(f"port {row.port} isn't one of 1 to {ports}: {line!r}")
        if row.port in rows:
            raise TableError(f"port {row.port} stands in the table twice")
        rows[row.port] = row
    if not rows:
        raise TableError("the table has no row")
    return rows


def _body(lines: list[str], rulers: list[int]) -> Iterator[str]:
    """Yield the table's rows: up to a blank line, or a closing row of dashes."""
    for number in range(rulers[0] + 1, len(lines)):
        if not lines[number].strip() or number in rulers:
            rest = rulers[1:] if number not in rulers else rulers[2:]
            if rest:
                raise TableError("there is more than one table")
            return
        yield lines[number]


def _columns(lines: list[str], ruler: int) -> list[_Column]:
    spans = [match.span() for match in re.finditer(r"-+", lines[ruler])]
    if any(b[0] - a[1] < _LEAST_GAP for a, b in pairwise(spans)):
        raise TableError("the columns stand too close to be told apart")
    titles: dict[tuple[int, int], list[str]] = {span: [] for span in spans}
    first = ruler
    while first > 0 and lines[first - 1].strip():
        first -= 1
    for line in lines[first:ruler]:
        for token in re.finditer(r"\S+", line):
            home = [s for s in spans if s[0] <= token.start() and token.end() <= s[1]]
            if not home:
                raise TableError(f"the title {token[0]!r} stands over no single column")
            titles[home[0]].append(token[0])
    columns = [_Column(*span, *_title(" ".join(titles[span]))) for span in spans]
    for wanted, allowed in _COLUMNS.items():
        if (count := sum(column.name == wanted for column in columns)) not in allowed:
            raise TableError(f"{count} columns are titled {wanted!r}")
    return columns


def _title(text: str) -> tuple[str, str]:
    """Split `Power(W)` into name and unit, both in lower case."""
    found = _TITLE.fullmatch(text)
    return (found["name"].lower(), (found["unit"] or "").lower()) if found else (text.lower(), "")


def _cells(line: str, columns: list[_Column]) -> list[str]:
    """Cut a row into its cells. `shift` is how far cells wider than their column pushed it."""
    cells = [""] * len(columns)
    at, shift = 0, 0
    for token in re.finditer(r"\S+", line):
        while at < len(columns) and token.start() >= columns[at].end + shift:
            at += 1
        if at == len(columns) or token.start() < columns[at].start + shift:
            raise TableError(f"{token[0]!r} stands under no column: {line!r}")
        start, end = columns[at].start + shift, columns[at].end + shift
        if token.end() > end:
            if token.start() != start:
                raise TableError(f"{token[0]!r} stands across columns: {line!r}")
            shift += token.end() - end
        cells[at] = line[start : token.end()].strip()
    if not cells[-1]:
        raise TableError(f"the row is cut short: {line!r}")
    return cells


def _row(cells: list[str], columns: list[_Column], line: str) -> PoeRow:
    by_name = {column.name: cell for column, cell in zip(columns, cells, strict=True)}
    units = {column.name: column.unit for column in columns}
    if not re.fullmatch(r"[0-9]{1,3}", by_name["port"]):
        raise TableError(f"{by_name['port']!r} is no port number: {line!r}")
    return PoeRow(
        port=int(by_name["port"]),
        admin=_admin(by_name["opmode"]),
        delivering={"on": True, "off": False}.get(by_name["poepwr"].lower()),
        watts=_watts(by_name.get("power", ""), units.get("power", "")),
        pd_class=_pd_class(by_name.get("class", "")),
        raw=line,
    )


def _admin(word: str) -> Literal["auto", "off", "unknown"]:
    match word.lower():
        case "auto":
            return "auto"
        case "off" | "shutdown" | "disable" | "disabled":
            return "off"
        case _:
            return "unknown"


def _watts(cell: str, unit: str) -> float | None:
    if unit not in _UNITS_PER_WATT or not re.fullmatch(r"[0-9]{1,6}(?:\.[0-9]{1,6})?", cell):
        return None
    watts = float(cell) / _UNITS_PER_WATT[unit]
    return watts if watts <= _MOST_WATTS else None


def _pd_class(cell: str) -> str | None:
    found = re.fullmatch(r"class\s*([0-9])", cell, re.IGNORECASE)
    return f"Class {found[1]}" if found else None
