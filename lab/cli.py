"""`pimedic lab ...`: the cluster on loopback, and what can be broken in it."""

import json
from pathlib import Path
from typing import Annotated, Any

from cyclopts import App, Parameter
from rich.console import Console
from rich.table import Table

from lab.client import ask
from lab.directory import LabDirectory
from lab.faults import FAULTS, find
from lab.plainly import plainly
from lab.settings import default_directory

Directory = Annotated[
    Path | None, Parameter(name="--dir", help="The lab's directory, if not the default one.")
]
Json = Annotated[bool, Parameter(name="--json", negative=(), help="For programs: JSON.")]

app = App(name="lab", help="The whole cluster on loopback: run it, watch it, break it.")
app.command("lab.demo:demo", name="demo", help="Run the lab and play the weekly failure, live.")
app.command("lab.demo:up", name="up", help="Run the lab until Ctrl-C, with nothing broken.")


def _ask(directory: Path | None, **request: str) -> dict[str, Any]:
    return ask(LabDirectory(directory or default_directory()).control, **request)


@app.command(name="break")
@plainly
def break_(node: str, fault: str, argument: str = "", *, directory: Directory = None) -> None:
    """Break something in the running lab.

    Parameters
    ----------
    node
        A node by name or alias: pi_login, login, green_4.
    fault
        One of `pimedic lab faults`.
    argument
        What the fault needs to know, such as the unit that fails.
    """
    find(fault, argument)  # a wrong word is told even when no lab runs
    print(_ask(directory, do="break", node=node, fault=fault, argument=argument)["text"])


@app.command
@plainly
def heal(node: str, *, directory: Directory = None) -> None:
    """Mend a node, or `all`, as if by magic: no treatment, no reboot."""
    print(_ask(directory, do="heal", node=node)["text"])


@app.command
@plainly
def status(*, directory: Directory = None, as_json: Json = False) -> None:
    """Show the truth about every virtual Pi (what the medic thinks is in /status)."""
    nodes = _ask(directory, do="status")["nodes"]
    if as_json:
        print(json.dumps(nodes))
        return
    table = Table("node", "address", "port", "state", "ssh", "agent", "W", "broken", box=None)
    for node in nodes:
        state = "stalled" if node["stalled"] else node["state"]
        cells = (node["node"], node["address"], node["port"], state, node["ssh"], node["agent"])
        table.add_row(*map(str, cells), f"{node['watts']:.1f}", ", ".join(node["faults"]))
    Console(highlight=False).print(table)


@app.command
def faults() -> None:
    """List what can be broken, and what cures it."""
    table = Table("fault", "what it does", "what cures it", box=None)
    for fault in FAULTS.values():
        table.add_row(f"{fault.name} {fault.argument}".strip(), fault.does, fault.cure)
    Console(highlight=False).print(table)
