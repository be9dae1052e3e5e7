"""A small shell, after busybox ash: enough for what one sends a switch over ssh.

Simple commands with quotes and redirections, joined by `;`, `&`, `&&` and `||`; `sleep`,
`nohup`, `sh -c`, `echo`, `true`, `false`, `swctrl`, `ubntbox`. No variables, no pipes.
"""

import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace

Write = Callable[[str], None]
Builtin = Callable[[list[str], "Streams"], int]

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


@dataclass(frozen=True, slots=True)
class Simple:
    """One command with its redirections, and the operator that follows it."""

    words: tuple[str, ...]
    redirects: tuple[tuple[str, str], ...]
    then: str


class Ash:
    """Runs lines. `builtins` are the programs by name; `background` starts detached work."""

    def __init__(
        self,
        builtins: dict[str, Builtin],
        sleep: Callable[[float], Awaitable[None]],
        background: Callable[[Awaitable[int], bool], None],
    ) -> None:
        self._builtins = builtins
        self._sleep = sleep
        self._background = background

    async def run(self, line: str, streams: Streams) -> int:
        """Run `line` and return its exit status."""
        try:
            commands = parse(line)
        except ShellSyntaxError as error:
            streams.err(f"ash: syntax error: {error}\n")
            return _SYNTAX
        status, skip = 0, False
        for command in commands:
            if not skip:
                status = await self._simple(command, streams)
            skip = (command.then == "&&" and status != 0) or (command.then == "||" and status == 0)
        return status

    async def _simple(self, command: Simple, streams: Streams) -> int:
        streams = _redirect(command, streams)
        if command.then == "&":
            self._background(self._execute(list(command.words), streams), streams.attached)
            return 0
        return await self._execute(list(command.words), streams)

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
    """Split `line` into simple commands. Raises ShellSyntaxError."""
    commands: list[Simple] = []
    words: list[str] = []
    redirects: list[tuple[str, str]] = []
    target_of = ""
    for kind, text in _tokens(line):
        if target_of:
            if kind != "word":
                raise ShellSyntaxError(f'unexpected "{text}"')
            redirects.append((target_of, text))
            target_of = ""
        elif kind == "word":
            words.append(text)
        elif kind == "redirect":
            if ">&" in text:
                redirects.append((text, ""))
            else:
                target_of = text
        else:
            if text not in {";", "&", "&&", "||", "\n"} or not words:
                raise ShellSyntaxError(f'unexpected "{text}"')
            commands.append(Simple(tuple(words), tuple(redirects), text))
            words, redirects = [], []
    if target_of or (commands and not words and commands[-1].then in {"&&", "||"}):
        raise ShellSyntaxError("unexpected end of file")
    return [*commands, Simple(tuple(words), tuple(redirects), "")] if words else commands


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
