"""What the person on call does: look, pause, resume."""

import json
from typing import Annotated

from cyclopts import App, Parameter

from console.client import Client
from console.durations import seconds
from console.options import AsJson, Reason, TokenFile, Url

_UNHEALTHY = 3


def register(app: App) -> None:
    """Add these commands to `app`."""
    app.command(status)
    app.command(pause)
    app.command(resume)


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
    """Lift an override, or all of them but ports that are off: to lift one of those is to power it.

    Those have ids like off-green4, or `pimedic power on`.
    """
    client = Client(supervisor, token_file)
    wanted = [override]
    if override == "all":
        known = client.get("/status?format=json")["overrides"]
        wanted = [one["id"] for one in known if one["kind"] != "off"]
    for one in wanted:
        client.delete(f"/v1/overrides/{one}")
        print(f"lifted {one}")
    if not wanted:
        print("no override is in force")
    return 0
