"""TOML files with errors a person can act on: file, line, key, value and what was expected.

Every configuration file of ours is read through here, so that a typo always reads the same.
"""

import re
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

KeyPath = tuple[str | int, ...]
ModelT = TypeVar("ModelT", bound=BaseModel)

_HEADER = re.compile(r"^\s*(\[\[?)\s*([^\[\]]+?)\s*\]\]?\s*(?:#.*)?$")
_ASSIGNMENT = re.compile(
    r"^\s*((?:[\w-]+|\"[^\"]*\"|'[^']*')(?:\s*\.\s*(?:[\w-]+|\"[^\"]*\"))*)\s*="
)
_STRING_OR_COMMENT = re.compile(r"\"(?:\\.|[^\"\\])*\"|'[^']*'|#.*$")
_LINE_OF_ERROR = re.compile(r"\s*\(at (?:line (\d+), column \d+|end of document)\)")


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing wrong with a file."""

    file: str
    line: int
    key: str
    message: str

    def __str__(self) -> str:
        where = f"{self.file}:{self.line}" if self.line else self.file
        return f"{where}: {self.key}: {self.message}" if self.key else f"{where}: {self.message}"


class ConfigError(Exception):
    """A configuration can't be used; carries every problem found. Its text is for the user."""

    def __init__(self, *problems: Problem) -> None:
        super().__init__("\n".join(str(problem) for problem in problems))
        self.problems = problems


@dataclass(frozen=True, slots=True)
class TomlFile:
    """A parsed file that remembers on which line each key stands."""

    path: Path
    data: Mapping[str, Any]
    lines: Mapping[KeyPath, int]

    def line(self, key: KeyPath) -> int:
        """Return the line of `key`, or of the nearest enclosing key that has one."""
        while key and key not in self.lines:
            key = key[:-1]
        return self.lines.get(key, 1)

    def problem(self, key: KeyPath, message: str) -> Problem:
        """Say what is wrong with `key`."""
        return Problem(str(self.path), self.line(key), ".".join(str(part) for part in key), message)

    def parse_as(self, model: type[ModelT]) -> ModelT:
        """Validate the whole file against `model`. Raises `ConfigError` naming every problem."""
        try:
            return model.model_validate(self.data)
        except ValidationError as error:
            raise ConfigError(*self._problems(error)) from None

    def _problems(self, error: ValidationError) -> Iterator[Problem]:
        for found in error.errors(include_url=False):
            key = tuple(part for part in found["loc"] if part != "[key]")
            yield self.problem(key, _in_plain_words(found["type"], found["msg"], found["input"]))


def load(path: Path) -> TomlFile:
    """Read and parse `path`. Raises `ConfigError` when it is missing, unreadable or not TOML."""
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise ConfigError(Problem(str(path), 0, "", "no such file")) from None
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(Problem(str(path), 0, "", f"can't be read: {error}")) from None
    try:
        data = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(_syntax_problem(path, text, str(error))) from None
    return TomlFile(path, data, dict(_key_lines(text)))


def _syntax_problem(path: Path, text: str, message: str) -> Problem:
    place = _LINE_OF_ERROR.search(message)
    line = int(place[1]) if place and place[1] else len(text.splitlines())
    return Problem(str(path), line, "", f"not valid TOML: {_LINE_OF_ERROR.sub('', message)}")


def _in_plain_words(kind: str, message: str, value: object) -> str:
    match kind:
        case "extra_forbidden":
            return "unknown key; check the spelling, or remove it"
        case "missing":
            return "missing; this key is required"
        case "value_error":
            return message.removeprefix("Value error, ")
        case _:
            expected = message.removeprefix("Input should be ")
            return f"expected {expected}, found {value!r}"


def _key_lines(text: str) -> Iterator[tuple[KeyPath, int]]:
    """Yield each table's and key's line. Keys inside an inline table share their row's line."""
    table: KeyPath = ()
    counts: dict[KeyPath, int] = {}
    depth, fence = 0, ""
    for number, raw in enumerate(text.splitlines(), 1):
        line, was_inside = raw, depth > 0 or bool(fence)
        line, fence = _without_multiline_strings(line, fence)
        if not was_inside and (header := _HEADER.match(line)):
            table = _split(header[2])
            if header[1] == "[[":
                counts[table] = counts.get(table, -1) + 1
                table = (*table, counts[table])
            yield table, number
            continue
        if not was_inside and (assignment := _ASSIGNMENT.match(line)):
            yield (*table, *_split(assignment[1])), number
        bare = _STRING_OR_COMMENT.sub("", line)
        depth += sum(bare.count(c) for c in "[{") - sum(bare.count(c) for c in "]}")


def _without_multiline_strings(line: str, fence: str) -> tuple[str, str]:
    """Blank out what lies inside triple quotes; return the rest and the fence still open."""
    kept = ""
    while line:
        if fence:
            _, closing, line = line.partition(fence)
            if not closing:
                return kept, fence
            fence = ""
            continue
        opening = re.search(r'"""|' + "'''", line)
        if not opening:
            return kept + line, ""
        kept, fence, line = kept + line[: opening.start()], opening[0], line[opening.end() :]
    return kept, fence


def _split(dotted: str) -> KeyPath:
    return tuple(part.strip().strip("\"'") for part in re.findall(r"\"[^\"]*\"|[^.]+", dotted))
