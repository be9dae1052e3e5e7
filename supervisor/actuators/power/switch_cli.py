"""The command line of UniFi switches without `swctrl`: lines to send, and answers read.

It is reached from the switch's own shell, by piping what one would type into `telnet localhost` or
`cli`. So a session runs on the switch to its end whatever becomes of ours. Nobody waits for prompts
there: they are looked for afterwards, in the answer. In the global configuration `poe opmode`
may hit every port: `enters` proves that an interface exists before anything is typed into it.
"""

import re
from collections.abc import Iterator
from typing import Literal

from supervisor.actuators.power.swctrl_table import PoeRow, TableError

Program = Literal["telnet localhost", "cli"]
PROGRAMS: tuple[Program, ...] = ("telnet localhost", "cli")
_GREETING_S, _ANSWER_S = 1, 2  # what the session needs to be up, and to have answered
_MODES = 4  # user, enabled, configuration, interface: one `exit` each
_PROMPT = re.compile(r"^\([^()]+\) ?(?:\([^()]+\))? ?[>#]", re.MULTILINE)
_ROW = re.compile(
    r"0/(?P<port>[0-9]{1,3})\s+(?P<detection>\S(?: ?\S+)*?)\s+(?P<class>Class ?[0-9]|\S+)"
    r"\s+(?P<watts>[0-9]{1,3}\.[0-9]+)(?:\s+[0-9.]+){2,3}\s*"
)
_CONFIGURATION = re.compile(r"^!Current Configuration.*?$(.*)", re.MULTILINE | re.DOTALL)
_INTERFACE = re.compile(
    r"^interface\s+0/([0-9]{1,3})\s*$(.*?)^\s*exit\s*$", re.MULTILINE | re.DOTALL
)
_COMPLAINT = re.compile(r"^.*(?:% ?Invalid input|ERROR:|Error:).*$", re.MULTILINE)


def greet(program: Program) -> str:
    """Return the line that only opens and leaves a session."""
    return _session(program, ())


def enters(program: Program, port: int) -> str:
    """Return the line that goes to one port's mode, and does nothing there."""
    return _session(program, ("configure", f"interface 0/{port:d}"))


def show(program: Program) -> str:
    """Return the line that has every port and the configuration shown."""
    return _session(program, ("show poe status all", "show running-config"))


def opmode(program: Program, port: int, mode: Literal["auto", "shutdown"]) -> str:
    """Return the line that sets one port."""
    return _session(program, ("configure", f"interface 0/{port:d}", f"poe opmode {mode}"))


def cycle(program: Program, port: int, off_for: int, again_s: int) -> str:
    """Return the detached line that sets one port off, and on after `off_for` seconds.

    Each step is a session of its own: one that dies keeps none of the later ones from running.
    """
    off, on = opmode(program, port, "shutdown"), opmode(program, port, "auto")
    steps = f"{off}; sleep {off_for:d}; {on}; sleep {again_s:d}; {on}"
    return f"nohup sh -c '{steps}' >/dev/null 2>&1 </dev/null &"


def plain(text: str) -> str:
    """Return what the session said with line ends that are one character."""
    return re.sub(r"\r*\n", "\n", text)


def is_session(text: str) -> bool:
    """Whether there was a session at all: a prompt came."""
    return _PROMPT.search(text) is not None


def entered(text: str, port: int) -> bool:
    """Whether the prompt of one port's mode came."""
    return f"(Interface 0/{port:d})#" in text


def complaint(text: str) -> str:
    """Return what the session complained of, or nothing."""
    found = _COMPLAINT.search(text)
    return found[0].strip() if found else ""


def parse(text: str, *, ports: int) -> dict[int, PoeRow]:
    """Return every PoE port by number. Raises TableError."""
    if "--More--" in text:
        raise TableError("the answer is cut into pages")
    off = _switched_off(text)
    rows = {row.port: row for row in _rows(text, off)}
    if not rows:
        raise TableError("no port is shown")
    if strange := [port for port in rows if not 1 <= port <= ports]:
        raise TableError(f"port {strange[0]} isn't one of 1 to {ports}")
    return rows


def _rows(text: str, off: frozenset[int]) -> Iterator[PoeRow]:
    seen = set[int]()
    for line in text.splitlines():
        if not line.startswith("0/"):
            continue
        found = _ROW.fullmatch(line)
        if not found:
            raise TableError(f"the row can't be read: {line!r}")
        port, delivering = int(found["port"]), found["detection"] == "Good"
        if port in seen:
            raise TableError(f"port {port} stands in the table twice")
        seen.add(port)
        admin: Literal["auto", "off", "unknown"] = "off" if port in off else "auto"
        if admin == "auto" and found["detection"] == "Disabled":
            admin = "unknown"
        pd_class = found["class"] if delivering and found["class"].startswith("Class") else None
        yield PoeRow(port, admin, delivering, float(found["watts"]), pd_class, line)


def _switched_off(text: str) -> frozenset[int]:
    """Return the ports whose configuration says so. What is default isn't in it."""
    found = _CONFIGURATION.search(text)
    if not found or not _PROMPT.search(found[1]):
        raise TableError("the running configuration isn't there to its end")
    return frozenset(
        int(port)
        for port, body in _INTERFACE.findall(found[1])
        if re.search(r"^\s*poe opmode shutdown\s*$", body, re.MULTILINE)
    )


def _session(program: Program, typed: tuple[str, ...]) -> str:
    """Build a session from constant words and checked integers only."""
    lines = ("enable", "terminal length 0", *typed)
    typing = "; ".join(f"echo {line}" for line in lines)
    leaving = "; ".join(["echo exit"] * _MODES)
    return f"(sleep {_GREETING_S}; {typing}; sleep {_ANSWER_S}; {leaving}) | {program}"
