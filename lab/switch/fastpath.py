r"""The other command line of a switch, which `telnet localhost` or `cli` opens, after FASTPATH.

Modes with prompts, echo, and line ends of `\r\r\n`. It acts on the same ports as `swctrl`, through
the same faults. The trap here: in the global configuration `poe opmode` hits every port.
"""

import re
from collections.abc import Callable

from lab.switch.ports import Port, Ports

Write = Callable[[str], None]
Act = Callable[[str, list[int]], None]
_END = "\r\r\n"
_NAME = "UBNT"
_PAGE = 24
_TABLE = """\
Intf      Detection      Class   Consumed(W) Voltage(V) Current(mA) Temperature(C)
--------- -------------- ------- ----------- ---------- ----------- --------------
""".splitlines()
_OPMODES = {"auto": "auto", "shutdown": "off"}
_VOLTS = 53.24


class Fastpath:
    """One session. `act(auto|off, ports)` switches."""

    def __init__(self, ports: Ports, act: Act, write: Write) -> None:
        self._ports = ports
        self._act = act
        self._write = write
        self._mode = "user"
        self._interface = 0
        self._unread = ""
        self._pages = True
        self._closed = False
        self._say("", "Entering character mode", "Escape character is '^]'.", "")
        self._prompt()

    def feed(self, text: str) -> None:
        """Read what is typed; lines act as they end."""
        *lines, self._unread = (self._unread + text).split("\n")
        for line in lines:
            if not self._closed:
                self._say(line.strip())  # the echo
                self._line(line.split())
                self._prompt()

    def close(self) -> int:
        """Return the exit status of `telnet`: whoever hangs up first."""
        return 1 if self._closed else 0

    def _line(self, words: list[str]) -> None:
        match self._mode, words:
            case _, []:
                pass
            case "user", ["exit" | "quit" | "logout"]:
                self._closed = True
                self._say("Connection closed by foreign host")
            case _, ["exit"]:
                self._mode = {"interface": "config", "config": "enabled"}.get(self._mode, "user")
            case "user", ["enable"]:
                self._mode = "enabled"
            case "enabled", ["terminal", "length", "0"]:
                self._pages = False
            case "enabled", ["configure"]:
                self._mode = "config"
            case "config" | "interface", ["interface", name]:
                self._enter(name)
            case "interface", ["poe", "opmode", mode] if mode in _OPMODES:
                self._act(_OPMODES[mode], [self._interface])
            case "config", ["poe", "opmode", mode] if mode in _OPMODES:
                self._act(_OPMODES[mode], [port.number for port in self._ports.poe])
            case mode, ["show", *rest] if mode != "user":
                self._show(rest)
            case _:
                self._say("          ^", "% Invalid input detected at '^' marker.")

    def _enter(self, name: str) -> None:
        found = re.fullmatch(r"0/([0-9]{1,3})", name)
        if found and int(found[1]) in self._ports:
            self._mode, self._interface = "interface", int(found[1])
        else:
            self._say("", "ERROR: Invalid interface.", "")

    def _show(self, words: list[str]) -> None:
        self._ports.run_due()
        match words:
            case ["poe", "status", "all"]:
                lines = [*_TABLE, *map(_row, self._ports.poe)]
            case ["running-config"]:
                lines = ["!Current Configuration:", "!", *self._configuration(), "exit"]
            case _:
                lines = ["% Invalid input detected at '^' marker."]
        if self._pages and len(lines) > _PAGE:
            lines = [*lines[:_PAGE], "--More-- or (q)uit"]  # and nobody is there to press a key
        self._say(*lines)

    def _configuration(self) -> list[str]:
        lines = []
        for port in self._ports:
            lines.append(f"interface  0/{port.number}")
            if port.admin == "off":
                lines.append("poe opmode shutdown")
            lines.append("exit")
        return lines

    def _prompt(self) -> None:
        mode = {
            "user": " >",
            "enabled": " #",
            "config": " (Config)#",
            "interface": f" (Interface 0/{self._interface})#",
        }[self._mode]
        if not self._closed:
            self._write(f"({_NAME}){mode}")

    def _say(self, *lines: str) -> None:
        self._write("".join(line + _END for line in lines))


def _row(port: Port) -> str:
    watts = port.draw()
    delivering = port.powered and watts > 0
    detection = "Good" if delivering else "Disabled" if port.admin == "off" else "Open Circuit"
    pd_class = port.pd_class.replace(" ", "") if delivering else "Unknown"
    milliamperes = watts / _VOLTS * 1000
    return (
        f"{f'0/{port.number}':<9} {detection:<14} {pd_class:<7} {watts:<11.2f}"
        f" {_VOLTS if delivering else 0:<10.2f} {milliamperes:<11.2f} {45 if delivering else 0:<14}"
    )
