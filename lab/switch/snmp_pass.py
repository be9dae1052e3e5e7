"""The ports behind net-snmp's own agent: a `pass_persist` program for RFC 3621's tables.

    pass_persist .1.3.6.1.2.1.105 python -m lab.switch.snmp_pass FOLDER

snmpd does all of SNMP; this answers its questions from a model of the ports. `FOLDER/plan.json`
says what is plugged in and what goes wrong, and is read anew at each question; every transition is
appended to `FOLDER/transitions.jsonl`, which is what tests judge by.
"""

import json
import sys
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, TextIO

from lab.switch.ports import Admin, Latencies, Port, Ports

BASE = (1, 3, 6, 1, 2, 1, 105)
_PORT_ENTRY, _MAIN_PSE = (*BASE, 1, 1, 1), (*BASE, 1, 3, 1, 1)
_ADMIN, _DETECTION, _CLASS = 3, 6, 10
_SETS: dict[str, Admin] = {"1": "auto", "2": "off"}
_SUPPLY_W = 600
Oid = tuple[int, ...]
Answer = tuple[str, int]


@dataclass(frozen=True, slots=True)
class Plan:
    """What the lab wants of this switch. Times are in seconds.

    `plugged` are the ports with a device. `refuse` is a word of pass_persist's (`not-writable`,
    `wrong-value`); `no_effect` says yes and does nothing; `wrong_port` strikes that one instead;
    `mute_s` is how long to think before answering a set, `mute_after` whether it acted first.
    """

    plugged: tuple[int, ...] = ()
    group: int = 1
    off_s: float = 0.05
    on_s: float = 0.1
    refuse: str = ""
    no_effect: bool = False
    wrong_port: int = 0
    mute_s: float = 0.0
    mute_after: bool = False


class Tables:
    """RFC 3621's objects over a model of ports."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.plan = self._read_plan()
        latencies = Latencies(off=self.plan.off_s, on=self.plan.on_s)
        self.ports = Ports(time.monotonic, latencies)
        for number in self.plan.plugged:
            self.ports.plug(number)
        self._told = 0

    def look(self) -> None:
        """Read the plan, let due things happen, write down what happened."""
        self.plan = self._read_plan()
        self.ports.run_due()
        self.tell()

    def tell(self) -> None:
        """Append what is new in the ports' log to the file."""
        new, self._told = self.ports.log[self._told :], len(self.ports.log)
        with (self._folder / "transitions.jsonl").open("a", encoding="utf-8") as file:
            file.writelines(json.dumps(asdict(one)) + "\n" for one in new)

    def get(self, oid: Oid) -> Answer | None:
        """Return the type and value of one object."""
        return dict(self._objects()).get(oid)

    def get_next(self, oid: Oid) -> tuple[Oid, Answer] | None:
        """Return the object after `oid`."""
        return next((one for one in sorted(self._objects()) if one[0] > oid), None)

    def set(self, oid: Oid, kind: str, value: str) -> str:
        """Set one object; return pass_persist's word for how that went."""
        plan = self.plan
        if oid[:-2] != (*_PORT_ENTRY, _ADMIN) or self.get(oid) is None:
            return "not-writable"
        if kind != "integer":
            return "wrong-type"
        if value not in _SETS:
            return "wrong-value"
        if plan.refuse:
            return plan.refuse
        if plan.mute_s and not plan.mute_after:
            time.sleep(plan.mute_s)
            return "DONE"
        if not plan.no_effect:
            self.ports.set_admin([plan.wrong_port or oid[-1]], _SETS[value], "snmp set", 0)
            self.tell()
        time.sleep(plan.mute_s)
        return "DONE"

    def _objects(self) -> Iterator[tuple[Oid, Answer]]:
        group = self.plan.group
        for port in self.ports.poe:
            cells = {_ADMIN: 1 if port.admin == "auto" else 2, _DETECTION: _detection(port)}
            if port.powered:
                cells[_CLASS] = int(port.pd_class.removeprefix("Class ")) + 1
            for column, value in cells.items():
                yield (*_PORT_ENTRY, column, group, port.number), ("integer", value)
        drawn = round(sum(port.draw() for port in self.ports.poe))
        for column, value in {2: _SUPPLY_W, 4: drawn}.items():
            yield (*_MAIN_PSE, column, group), ("gauge", value)

    def _read_plan(self) -> Plan:
        given: dict[str, Any] = json.loads((self._folder / "plan.json").read_text(encoding="utf-8"))
        return Plan(**{**given, "plugged": tuple(given.get("plugged", ()))})


def _detection(port: Port) -> int:
    if port.admin == "off":
        return 3 if port.powered else 1  # told off, and the line not yet discharged
    return 3 if port.powered else 2


def serve(tables: Tables, questions: TextIO, answers: TextIO) -> None:
    """Answer snmpd until it closes the pipe."""

    def ask() -> str:
        return questions.readline().strip()

    while word := questions.readline():
        tables.look()
        match word.strip().lower():
            case "":
                continue  # snmpd ends a set with an empty line
            case "ping":
                reply = "PONG"
            case "get":
                oid = _oid(ask())
                found = tables.get(oid)
                reply = _shown(oid, found) if found else "NONE"
            case "getnext":
                after = tables.get_next(_oid(ask()))
                reply = _shown(*after) if after else "NONE"
            case "set":
                oid, (kind, value) = _oid(ask()), ask().split(maxsplit=1)
                reply = tables.set(oid, kind, value)
            case _:
                reply = "NONE"
        answers.write(reply + "\n")
        answers.flush()


def _oid(text: str) -> Oid:
    return tuple(int(part) for part in text.strip(".").split("."))


def _shown(oid: Oid, answer: Answer) -> str:
    return "\n".join((f".{'.'.join(map(str, oid))}", answer[0], str(answer[1])))


if __name__ == "__main__":
    serve(Tables(Path(sys.argv[1])), sys.stdin, sys.stdout)
