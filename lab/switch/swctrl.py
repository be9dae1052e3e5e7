"""`swctrl`, the switch's own command line: its grammar, its traps and its tables.

The trap: without the word `id` a command hits every port, so `swctrl poe set off 6` switches
the whole rack off. The fake does so too.
"""

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from enum import Enum

from lab.switch.faults import Fault, Faults, Kind, Place
from lab.switch.ports import Admin, Port, Ports

_HEADER = """\
Port  OpMode      HpMode    PwrLimit   Class   PoEPwr  PwrGood  Power(W)  Voltage(V)  Current(mA)
                              (mW)
----  ------  ------------  --------  -------  ------  -------  --------  ----------  -----------
""".splitlines()
_MAC_HEADER = """\
port vlan mac-address       ip-address      hostname          uptime age wireless-type
---- ---- ----------------- --------------- ---------------- ------ --- -------------
""".splitlines()
_INCOMPLETE = '[error] Command line is not complete. Try option "help"\n'
_VOLTS = 53.24
Write = Callable[[str], None]


class BadPort(Enum):
    """What happens for a port that doesn't exist or has no PoE. Nobody has recorded which."""

    ERROR = "error"  # a message on stderr, exit status 1
    COMPLAINT = "complaint"  # the message on stdout, exit status 0
    SILENCE = "silence"  # nothing at all, exit status 0


@dataclass(frozen=True, slots=True)
class Quirks:
    """How this firmware's output looks."""

    bad_port: BadPort = BadPort.ERROR
    total_limit: str = "600000"  # `-1096017060` on the USW Pro 48's platform
    pwr_limit: str = "32000"  # `-1`, or garbage wider than its column
    hp_mode: str = "Dot3at"  # `Dot3af`, `Unknown`
    off_word: str = "Off"  # what OpMode shows after `set off`; nobody has recorded it
    line_end: str = "\n"


class Swctrl:
    """Carries out one `swctrl` command line on the ports."""

    def __init__(self, ports: Ports, faults: Faults, quirks: Quirks) -> None:
        self.quirks = quirks
        self._ports = ports
        self._faults = faults

    def run(self, words: list[str], out: Write, err: Write, session: int) -> int:
        """Run `words` (without `swctrl`) and return the exit status."""
        self._ports.run_due()
        match words:
            case ["poe", "show", *rest]:
                chosen = self._choose(rest)
                return self._show(chosen, out) if chosen else self._bad_port(rest, out, err)
            case ["poe", "set", ("auto" | "off") as admin, *rest]:
                return self._act(admin, rest, out, err, session)
            case ["poe", "restart", *rest]:
                return self._act("restart", rest, out, err, session)
            case ["mac", "show", *_]:
                return self._print(out, self._mac_table())
            case ["port", "show", *_]:
                return self._print(out, self._port_table())
            case _:
                err(_INCOMPLETE)
                return 1

    def _act(self, act: str, rest: list[str], out: Write, err: Write, session: int) -> int:
        chosen = self._choose(rest)
        if not chosen:
            return self._bad_port(rest, out, err)
        words = ["swctrl", "poe", *(["set", act] if act != "restart" else [act]), *rest]
        cause = " ".join(words)
        fault = self._faults.strike(Place.EFFECT, cause)
        numbers = [port.number for port in chosen]
        if fault is None:
            self._apply(act, numbers, cause, session)
        else:
            self._misapply(fault, act, numbers, cause, session)
        return 0

    def _apply(self, act: str, numbers: list[int], cause: str, session: int) -> None:
        if act == "restart":
            self._ports.restart(numbers, cause, session)
        else:
            admin: Admin = "auto" if act == "auto" else "off"
            self._ports.set_admin(numbers, admin, cause, session)

    def _misapply(
        self, fault: Fault, act: str, numbers: list[int], cause: str, session: int
    ) -> None:
        if fault.kind is Kind.NO_EFFECT:
            return
        if fault.kind is Kind.WRONG_PORT:
            self._apply(act, [fault.port], cause, session)
            return
        if fault.kind is Kind.LATE_EFFECT:
            self._ports.schedule(
                0, fault.seconds, lambda: self._apply(act, numbers, cause, session)
            )
            return
        self._apply(act, numbers, cause, session)
        if fault.kind is Kind.REVERTED:
            self._ports.schedule(
                0, fault.seconds, lambda: self._ports.set_admin(numbers, "auto", "provision", 0)
            )
        if fault.kind is Kind.DEVICE_STAYS_DOWN:
            for number in numbers:
                self._ports[number].stays_down = True

    def _choose(self, rest: list[str]) -> list[Port]:
        """Return the ports of `id L`; every port if the word `id` is missing; none if bad."""
        if len(rest) < 2 or rest[0] != "id":  # noqa: PLR2004  -- the word and its list
            return self._ports.poe
        numbers = list(_expand(rest[1]))
        if any(n not in self._ports or not self._ports[n].poe for n in numbers):
            return []
        return [self._ports[n] for n in numbers]

    def _bad_port(self, rest: list[str], out: Write, err: Write) -> int:
        message = f"[error] Invalid port id: {rest[-1]}\n"
        match self.quirks.bad_port:
            case BadPort.ERROR:
                err(message)
                return 1
            case BadPort.COMPLAINT:
                out(message)
                return 0
            case BadPort.SILENCE:
                return 0

    def _show(self, chosen: list[Port], out: Write) -> int:
        head = (f"Total Power Limit(mW): {self.quirks.total_limit}", "", *_HEADER)
        return self._print(out, [*head, *map(self._row, chosen)])

    def _row(self, port: Port) -> str:
        watts = port.draw()
        delivering = port.powered and watts > 0  # a device that draws nothing isn't given power
        return "  ".join(
            (
                f"{port.number:>4}",
                f"{'Auto' if port.admin == 'auto' else self.quirks.off_word:>6}",
                f"{self.quirks.hp_mode:>12}",
                f"{self.quirks.pwr_limit:>8}",
                f"{(port.pd_class if delivering else '') or 'Unknown':>7}",
                f"{'On' if delivering else 'Off':>6}",
                f"{'Good' if delivering else 'Bad':>7}",
                f"{watts:>8.2f}",
                f"{_VOLTS if delivering else 0:>10.2f}",
                f"{watts / _VOLTS * 1000:>11.2f}",
            )
        )

    def _mac_table(self) -> list[str]:
        rows = [
            f"{port.number:>4} {1:>4} {port.mac:<17} {port.ip:<15} {port.hostname:<16} "
            f"{3600:>6} {1:>3} "
            for port in self._ports
            if port.mac and port.is_linked()
        ]
        return [*_MAC_HEADER, *rows, f"Total number of entries: {len(rows)}"]

    def _port_table(self) -> list[str]:
        head = "  Port Link  Rate      Tx-Bytes  Rx-Bytes  STP-State"
        rows = [
            f"{port.number:>6} U/{'U' if port.is_linked() else 'D'} "
            f"{'1000F' if port.is_linked() else '0H':>6} {0:>12} {0:>9}  "
            f"{'forwarding' if port.is_linked() else 'disabled'}"
            for port in self._ports
        ]
        return [head, *rows]

    def _print(self, out: Write, lines: Iterable[str]) -> int:
        out("".join(line + self.quirks.line_end for line in lines))
        return 0


def _expand(text: str) -> Iterable[int]:
    """Yield the ports of `6`, `1-8` or `1,2,3`; 0, which is no port, for anything else."""
    for part in text.split(","):
        if not (found := re.fullmatch(r"(\d{1,3})(?:-(\d{1,3}))?", part)):
            yield 0
            return
        yield from range(int(found[1]), int(found[2] or found[1]) + 1)
