"""What the person on call does: look, pause, resume, cycle a node's power by hand."""

import json
import re
import sys
from pathlib import Path
from typing import Annotated

from cyclopts import App, Parameter

from console.client import Client, ConsoleError

FOREVER = "forever"
_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}
_UNHEALTHY = 3

Url = Annotated[str, Parameter(name="--supervisor", help="The supervisor's URL.")]
TokenFile = Annotated[Path | None, Parameter(name="--token-file", help="File with your token.")]
AsJson = Annotated[bool, Parameter(name="--json", negative="", help="Print JSON.")]
Reason = Annotated[str, Parameter(name="--reason", help="Why; shown to everybody.")]


def register(app: App) -> None:
    """Add these commands to `app`."""
    app.command(status)
    app.command(pause)
    app.command(resume)
    app.command(power_cycle, name="power-cycle")


def status(*, json_: AsJson = False, supervisor: Url = "") -> int:
    """Show what is wrong and what is being done. Exits 3 when the cluster isn't healthy."""
    client = Client(supervisor)
    if json_:
        picture = client.get("/status?format=json")
        print(json.dumps(picture, indent=2))
        return 0 if picture["healthy"] else _UNHEALTHY
    text = client.text("/status?format=text")
    print(text, end="" if text.endswith("\n") else "\n")
    return 0 if text.startswith("HEALTHY") else _UNHEALTHY


def pause(
    *,
    reason: Reason,
    scope: Annotated[str, Parameter(help="all, node:NAME, group:NAME or runbook:NAME")] = "all",
    duration: Annotated[str, Parameter(name="--for", help="30m, 2h, 1d, or forever")] = "1h",
    supervisor: Url = "",
    token_file: TokenFile = None,
) -> int:
    """Hold every automatic treatment back in a scope, for a while."""
    body = {"kind": "pause", "scope": scope, "reason": reason, "duration_s": seconds(duration)}
    made = Client(supervisor, token_file).post("/v1/overrides", body)
    end = "until lifted" if made["remaining_s"] is None else f"for {duration}"
    print(f"paused {made['scope']} {end} (pimedic resume {made['id']})")
    return 0


def resume(
    override: Annotated[str, Parameter(help="An override's id, or all.")] = "all",
    *,
    supervisor: Url = "",
    token_file: TokenFile = None,
) -> int:
    """Lift an override, or all of them."""
    client = Client(supervisor, token_file)
    wanted = [override]
    if override == "all":
        wanted = [one["id"] for one in client.get("/status?format=json")["overrides"]]
    for one in wanted:
        client.delete(f"/v1/overrides/{one}")
        print(f"lifted {one}")
    if not wanted:
        print("no override is in force")
    return 0


def power_cycle(
    node: Annotated[str, Parameter(help="A node, in any spelling: login, green_4.")],
    *,
    reason: Reason,
    confirm: Annotated[str, Parameter(help="Repeat the node's name, for login or backup.")] = "",
    yes: Annotated[bool, Parameter(name=["--yes", "-y"], negative="", help="Don't ask.")] = False,
    dry_run: Annotated[bool, Parameter(name=["--dry-run", "-n"], negative="")] = False,
    protected: Annotated[bool, Parameter(negative="", help="Yes, even if protected.")] = False,
    skip_rail: Annotated[
        tuple[str, ...], Parameter(help="A rail to skip, such as cool_down.")
    ] = (),
    supervisor: Url = "",
    token_file: TokenFile = None,
) -> int:
    """Cut a node's power and give it back, through the rails and the journal."""
    client = Client(supervisor, token_file)
    target = client.get(f"/v1/nodes/{node}")
    down = f"{target['name']} on port {target['port']}"
    if dry_run:
        print(f"would power-cycle {down}")
        return 0
    _agreed(target["name"], target["role"], down, confirm=confirm, yes=yes)
    body = {
        "treatment": "power_cycle",
        "reason": reason,
        "protected": protected,
        "skip_rails": list(skip_rail),
    }
    asked = client.post(f"/v1/nodes/{target['name']}/actions", body)
    print(f"ordered: power cycle of {down} (hand-{asked['id']}); follow it with: pimedic status")
    return 0


def _agreed(name: str, role: str, down: str, *, confirm: str, yes: bool) -> None:
    """Make sure that a person means it. What others depend on wants its name said again."""
    severe = role != "worker"
    if confirm == name or (yes and not severe):
        return
    if not sys.stdin.isatty():
        how = f"--confirm={name}" if severe else "--yes"
        raise ConsoleError(f"not confirmed: cutting the power of {down} needs {how}", 2)
    wanted = name if severe else "yes"
    said = input(f"This cuts the power of {down}. Type {wanted!r} to go on: ")
    if said.strip() != wanted:
        raise ConsoleError("not confirmed; nothing was done", 1)


def seconds(text: str) -> float | str:
    """Read a duration such as 90s, 30m, 2h, 1d. Raises `ConsoleError` for anything else."""
    if text == FOREVER:
        return FOREVER
    found = re.fullmatch(r"(\d+(?:\.\d+)?)([smhd])", text)
    if not found:
        raise ConsoleError(f"expected a duration like 30m, 2h, 1d or forever, found {text!r}", 2)
    return float(found[1]) * _UNITS[found[2]]
