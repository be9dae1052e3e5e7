"""A small shell, after busybox ash: enough for what one sends a switch over ssh.

Simple commands with quotes and redirections, and subshells, joined by `;`, `&`, `&&`, `||` and
`|`; `sleep`, `nohup`, `sh -c`, `echo`, `true`, `false`, `swctrl`, `ubntbox`. No variables. Only
what is in `readers` reads from a pipe.
"""

import re
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

Write = Callable[[str], None]
Builtin = Callable[[list[str], "Streams"], int]
Opener = Callable[[list[str], "Streams"], "Reader"]

_TOKEN = re.compile(
    r"""\s*(?:
        (?P<redirect>\d?(?:>&\d|>>|>|<))
      | (?P<operator>&&|\|\||[;&|()\n])
      | (?P<word>(?:'[^']*'|"[^"]*"|\\.|[^\s;&|<>()'"\\])+)
    )""",
    re.VERBOSE,
)
_QUOTES = re.compile(r"""'([^']*)'|"([^"]*)"|\\(.)""")
_SYNTAX = 2
_NOT_FOUND = 127


class ShellSyntaxError(Exception):
    """The line is not a command list that this shell knows."""


@dataclass(frozen=True, slots=True)
class Streams:
    """Where output goes. `attached` tells whether anything still reaches the session."""

    out: Write
    err: Write
    attached: bool = True


class Reader(Protocol):
    """A program at the right of a pipe: acts on what it gets as it comes."""

    def feed(self, text: str) -> None:
        """Read `text`."""

    def close(self) -> int:
        """See the end of the input; return the exit status."""


@dataclass(frozen=True, slots=True)
class Simple:
    """One command with its redirections, and the operator that follows it.

    A subshell has no words of its own, but a `body`.
    """

    words: tuple[str, ...]
    redirects: tuple[tuple[str, str], ...]
    then: str
    body: tuple["Simple", ...] = ()


class Ash:
    """Runs lines.

    `builtins` are the programs by name, `readers` those that read from a pipe; `background` starts
    detached work.
    """

    def __init__(
        self,
        builtins: dict[str, Builtin],
        sleep: Callable[[float], Awaitable[None]],
        background: Callable[[Awaitable[int], bool], None],
        readers: dict[str, Opener] | None = None,
    ) -> None:
        self._builtins = builtins
        self._readers = readers or {}
        self._sleep = sleep
        self._background = background

    async def run(self, line: str, streams: Streams) -> int:
        """Run `line` and return its exit status."""
        try:
            commands = parse(line)
        except ShellSyntaxError as error:
            streams.err(f"ash: syntax error: {error}\n")
            return _SYNTAX
        return await self._list(commands, streams)

    async def _list(self, commands: Sequence[Simple], streams: Streams) -> int:
        status, skip, at = 0, False, 0
        while at < len(commands):
            command = commands[at]
            if command.then == "|" and at + 1 < len(commands):
                at += 1
                command, pipe = commands[at], command
                if not skip:
                    status = await self._pipe(pipe, command, streams)
            elif not skip:
                status = await self._simple(command, streams)
            skip = (command.then == "&&" and status != 0) or (command.then == "||" and status == 0)
            at += 1
        return status

    async def _pipe(self, left: Simple, right: Simple, streams: Streams) -> int:
        """Run `left | right`: what the one writes, the other reads at once."""
        name, *words = right.words or ("",)
        to = _redirect(right, streams)
        if name not in self._readers:
            await self._simple(left, replace(streams, out=_nowhere))
            return await self._execute(list(right.words), to)
        reader = self._readers[name](words, to)
        await self._simple(left, replace(streams, out=reader.feed))
        return reader.close()

    async def _simple(self, command: Simple, streams: Streams) -> int:
        streams = _redirect(command, streams)
        work = (
            self._list(command.body, streams)
            if command.body
            else self._execute(list(command.words), streams)
        )
        if command.then == "&":
            self._background(work, streams.attached)
            return 0
        return await work

    async def _execute(self, words: list[str], streams: Streams) -> int:
        match words:
            case ["nohup" | "ubntbox", *rest] if rest:
                return await self._execute(rest, streams)
            case ["sh" | "ash" | "/bin/sh", "-c", line, *_]:
                return await self.run(line, streams)
            case ["sleep", time]:
                return await self._nap(time, streams)
            case ["echo", *rest]:
                streams.out(" ".join(rest) + "\n")
                return 0
            case ["true"] | [":"]:
                return 0
            case ["false"]:
                return 1
            case [name, *rest] if name in self._builtins:
                return self._builtins[name](rest, streams)
            case [name, *_]:
                streams.err(f"ash: {name}: not found\n")
                return _NOT_FOUND
            case _:
                return 0

    async def _nap(self, time: str, streams: Streams) -> int:
        if not time.isdigit():  # busybox without FANCY_SLEEP takes whole seconds only
            streams.err(f"sleep: invalid number '{time}'\n")
            return 1
        await self._sleep(int(time))
        return 0


def parse(line: str) -> list[Simple]:
    """Split `line` into commands. Raises ShellSyntaxError."""
    tokens = _tokens(line)
    commands = _parse(tokens)
    if tokens:
        raise ShellSyntaxError(f'unexpected "{tokens[0][1]}"')
    return commands


def _parse(tokens: list[tuple[str, str]]) -> list[Simple]:
    """Take a list of commands off `tokens`, up to its end or a closing parenthesis."""
    commands: list[Simple] = []
    while tokens and tokens[0][1] != ")":
        words: list[str] = []
        redirects: list[tuple[str, str]] = []
        body: list[Simple] = []
        if tokens[0] == ("operator", "("):
            tokens.pop(0)
            body = _parse(tokens)
            if not body or not tokens:
                raise ShellSyntaxError("unexpected end of file")
            tokens.pop(0)
        while tokens and tokens[0][0] != "operator":
            kind, text = tokens.pop(0)
            if kind == "word" and body:
                raise ShellSyntaxError(f'unexpected "{text}"')
            if kind == "word":
                words.append(text)
            elif ">&" in text:
                redirects.append((text, ""))
            elif not tokens or tokens[0][0] != "word":
                raise ShellSyntaxError(f'unexpected "{tokens[0][1] if tokens else "end of file"}"')
            else:
                redirects.append((text, tokens.pop(0)[1]))
        then = tokens.pop(0)[1] if tokens and tokens[0][1] not in {"(", ")"} else ""
        if not words and not body:
            raise ShellSyntaxError(f'unexpected "{then or (tokens[0][1] if tokens else "")}"')
        commands.append(Simple(tuple(words), tuple(redirects), then, tuple(body)))
    if commands and commands[-1].then in {"&&", "||", "|"}:
        raise ShellSyntaxError("unexpected end of file")
    return commands


def _tokens(line: str) -> list[tuple[str, str]]:
    found: list[tuple[str, str]] = []
    position, line = 0, line.strip()
    while position < len(line):
        token = _TOKEN.match(line, position)
        if not token or not token.lastgroup:
            raise ShellSyntaxError("unterminated quoted string")
        text = token[token.lastgroup]
        if token.lastgroup == "word":
            text = _QUOTES.sub(lambda q: q[1] or q[2] or q[3] or "", text)
        found.append((token.lastgroup, text))
        position = token.end()
    return found


def _redirect(command: Simple, streams: Streams) -> Streams:
    for operator, target in command.redirects:
        sink = _nowhere if target == "/dev/null" else None
        match operator:
            case ">" | ">>" | "1>" if sink:
                streams = replace(streams, out=sink)
            case "2>" if sink:
                streams = replace(streams, err=sink)
            case "2>&1":
                streams = replace(streams, err=streams.out)
            case ">&2" | "1>&2":
                streams = replace(streams, out=streams.err)
            case _:
                pass  # stdin, and files that this shell doesn't have
    attached = streams.out is not _nowhere or streams.err is not _nowhere
    return replace(streams, attached=attached)


def _nowhere(_text: str) -> None:
    """Take the place of /dev/null."""
