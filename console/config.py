"""`pimedic config`: tell whether what is written down can be used."""

from pathlib import Path
from typing import Annotated

from cyclopts import App, Parameter

from common.inventory import load_cluster
from common.toml_files import ConfigError
from console.client import ConsoleError

app = App(name="config", help="Check configuration files.")


@app.command
def check(
    inventory: Annotated[Path, Parameter(help="The inventory.")] = Path("config/cluster.toml"),
) -> int:
    """Check the inventory. Exits 2 and names file, line and key of each problem."""
    try:
        cluster = load_cluster(inventory)
    except ConfigError as error:
        raise ConsoleError(str(error), 2) from None
    print(f"{inventory}: {len(cluster.nodes)} nodes, good")
    for node in cluster:
        for field, why in node.accepted.items():
            print(f"  {node.name}: {field} {getattr(node, field)!r} accepted: {why}")
    return 0
