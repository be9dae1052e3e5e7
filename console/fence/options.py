"""What can be said to the agent: one table, from which argv, stdin and metadata follow."""

import argparse
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import NoReturn

from console.client import DEFAULT_URL
from console.power.ways import CONFIG

ACTIONS = ("on", "off", "reboot", "status", "monitor", "list", "metadata", "validate-all")


@dataclass(frozen=True, slots=True)
class Option:
    """One parameter. `kind` is of the metadata's types: string, second."""

    name: str
    text: str
    flags: tuple[str, ...]
    default: str = ""
    kind: str = "string"
    required: bool = False
    metavar: str = ""
    obsoletes: str = ""

    @property
    def getopt(self) -> str:
        """Return how it is written on a command line."""
        return f"{', '.join(self.flags)}=[{self.metavar or self.name}]"


OPTIONS = (
    Option("action", "Fencing action", ("-o", "--action"), "reboot", required=True),
    Option(
        "plug",
        "The node, by name or alias, or its switch port's number",
        ("-n", "--plug"),
        metavar="node",
        obsoletes="port",
    ),
    Option("supervisor", "The supervisor's URL", ("--supervisor",), DEFAULT_URL, metavar="url"),
    Option("token_file", "File with the bearer token", ("--token-file",), metavar="file"),
    Option(
        "config",
        "The supervisor's settings, to act directly while it is down on this machine",
        ("--config",),
        str(CONFIG),
        metavar="file",
    ),
    Option("reason", "Why, for the timeline", ("--reason",), "fenced", metavar="text"),
    Option(
        "power_timeout",
        "How long to wait for the end of an act",
        ("--power-timeout",),
        "50",
        kind="second",
        metavar="seconds",
    ),
)
# Pacemaker says the target in all of these; the first that is there counts.
_PLUGS = ("plug", "port", "nodename")


class UsageError(Exception):
    """The caller said something that can't be meant."""


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        """Never exit 2: that is the answer `off`."""
        raise UsageError(message)


def parse(arguments: Sequence[str], stdin: Iterable[str]) -> dict[str, str]:
    """Return every option; without arguments they come as `key=value` lines on stdin."""
    given = _of_argv(arguments) if arguments else _of_lines(stdin)
    options = {option.name: given.get(option.name) or option.default for option in OPTIONS}
    options["plug"] = next((given[key] for key in _PLUGS if given.get(key)), "")
    if options["action"] not in ACTIONS:
        raise UsageError(f"expected one of {', '.join(ACTIONS)}, found {options['action']!r}")
    return options


def _of_argv(arguments: Sequence[str]) -> Mapping[str, str]:
    parser = _Parser(prog="fence_pimedic", description=sys.modules[__package__ or ""].__doc__)
    for option in OPTIONS:
        default = f" [{option.default}]" if option.default else ""
        parser.add_argument(*option.flags, dest=option.name, help=option.text + default)
    return {key: value for key, value in vars(parser.parse_args(arguments)).items() if value}


def _of_lines(lines: Iterable[str]) -> Mapping[str, str]:
    """Unknown keys are ignored, as the API wants it: every caller sends some of its own."""
    given = {}
    for line in lines:
        key, equals, value = line.strip().partition("=")
        if equals and not key.startswith("#"):
            given[key.strip()] = value.strip()
    return given
