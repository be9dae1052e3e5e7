"""What is asked of a way to the switch, and what it answers."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol

from common.fleet.members import Kind


@dataclass(frozen=True, slots=True)
class Order:
    """One node's power, by a person's word.

    `off_s` is how long a cycle keeps the port off (None: the setting), `off_for` how long an off
    lasts, both in seconds.
    """

    kind: Kind
    node: str
    reason: str
    off_s: float | None = None
    off_for: float | Literal["forever"] = 3600.0
    protected: bool = False
    skip_rails: tuple[str, ...] = ()

    @property
    def treatment(self) -> str:
        """Return what the supervisor calls it."""
        return f"power_{self.kind}"


@dataclass(frozen=True, slots=True)
class Ended:
    """What came of an ordered action; `result` as the supervisor's core has it."""

    action: str
    result: str
    detail: str = ""


def ended_of(entry: Mapping[str, Any]) -> Ended | None:
    """Read a timeline entry that tells an action's end: its report, or its story after a crash."""
    data, text = entry["data"], entry["text"]
    match entry["kind"]:
        case "action_finished":
            return Ended(data["action"], data["result"], text.split(": ", 2)[-1])
        case "power" if data.get("action"):
            return Ended(data["action"], "unknown", text)
    return None


@dataclass(frozen=True, slots=True)
class Found:
    """One row of a switch's survey. `mark` is good, warning, bad or untested."""

    subject: str
    mark: str
    text: str


class OrderRefusedError(Exception):
    """Rails hold an order back; the text says why, `rails` which."""

    def __init__(self, rails: Sequence[str], text: str) -> None:
        super().__init__(text)
        self.rails = tuple(rails)


class NoWayError(Exception):
    """There is no way to the switch from here; `code` is the exit code that this deserves."""

    def __init__(self, message: str, code: int = 1) -> None:
        super().__init__(message)
        self.code = code


class WayLostError(Exception):
    """The way to the switch doesn't answer at the moment; what was ordered goes on."""


class Way(Protocol):
    """A way to the switch: through the supervisor, or directly in its place."""

    @property
    def said(self) -> str:
        """Say which way it is, for people."""

    async def look(self) -> Mapping[str, Any]:
        """Return the picture that `GET /v1/ports` gives. Raises `WayLostError`."""

    async def order(self, order: Order) -> str:
        """Have it carried out; return the action's id. Raises `OrderRefusedError`."""

    async def ended(self) -> Sequence[Ended]:
        """Return which actions have ended since the last call. Raises `WayLostError`."""

    async def aclose(self) -> None:
        """Wait until nothing is half done on this side, and close."""
