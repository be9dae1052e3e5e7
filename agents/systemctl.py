"""Units as `systemctl show` describes them: parsing apart from asking."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from agents.programs import Ended, ProgramError, Programs

PROPERTIES = (
    *("Id", "LoadState", "ActiveState", "SubState", "Result"),
    *("InvocationID", "TriggeredBy", "NRestarts"),
)
_SUFFIXES = (".service", ".socket", ".mount", ".target", ".timer", ".path", ".automount", ".slice")


@dataclass(frozen=True, slots=True)
class Unit:
    """One unit, under the name it was asked for (`Id` may be what that is an alias of)."""

    name: str
    load: str
    active: str
    sub: str
    result: str
    invocation: str
    triggered_by: str
    restarts: int = 0
    """How often systemd restarted it by itself."""


class Systemctl:
    """The systemctl command. Every method blocks: call it in a thread."""

    def __init__(self, programs: Programs, command: Sequence[str]) -> None:
        self._programs = programs
        self._command = tuple(command)

    def show(self, units: Sequence[str], deadline_s: float) -> tuple[Unit, ...]:
        """Return `units` in the given order. Raises `ProgramError` when systemctl fails."""
        properties = f"--property={','.join(PROPERTIES)}"
        ended = self._run(("show", properties, "--", *units), deadline_s)
        if ended.status:
            raise ProgramError(f"systemctl show: {ended.complaint}")
        return parse_show(units, ended.output)

    def reset_failed(self, unit: str, deadline_s: float) -> Ended:
        """Forget failures and start limits of `unit`."""
        return self._run(("reset-failed", "--", unit), deadline_s)

    def restart(self, unit: str, deadline_s: float) -> Ended:
        """Restart `unit` and wait for its job to end."""
        return self._run(("restart", "--", unit), deadline_s)

    def _run(self, arguments: Sequence[str], deadline_s: float) -> Ended:
        return self._programs.run((*self._command, *arguments), deadline_s)


def unit_name(name: str) -> str:
    """Complete a name as systemctl would: `ssh` is `ssh.service`."""
    return name if name.endswith(_SUFFIXES) else f"{name}.service"


def parse_show(units: Sequence[str], text: str) -> tuple[Unit, ...]:
    """Parse the blocks of `systemctl show`, one a unit in the order asked for."""
    blocks = [block for block in text.strip().split("\n\n") if block.strip()]
    if len(blocks) != len(units):
        raise ProgramError(f"systemctl show: {len(blocks)} answers for {len(units)} units")
    return tuple(_unit(name, _properties(block)) for name, block in zip(units, blocks, strict=True))


def _properties(block: str) -> dict[str, str]:
    return {key: value for key, _, value in (line.partition("=") for line in block.splitlines())}


def _unit(name: str, properties: Mapping[str, str]) -> Unit:
    restarts = properties.get("NRestarts", "")
    return Unit(
        name=name,
        load=properties.get("LoadState", "loaded"),
        active=properties.get("ActiveState", ""),
        sub=properties.get("SubState", ""),
        result=properties.get("Result", ""),
        invocation=properties.get("InvocationID", ""),
        triggered_by=properties.get("TriggeredBy", ""),
        restarts=int(restarts) if restarts.isdecimal() else 0,
    )
