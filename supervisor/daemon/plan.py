"""Everything that is read before anything is started: inventory, runbooks, keys, tokens."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from common import clock
from common.inventory import load_cluster
from common.signing import NodeKeys, load_key
from common.topology import Cluster
from supervisor.api.tokens import Tokens, load_tokens
from supervisor.core.runbooks import Runbook
from supervisor.runbook_files import load_runbooks
from supervisor.settings import Settings


@dataclass(frozen=True, slots=True)
class Plan:
    """All of it, checked."""

    cluster: Cluster
    runbooks: Sequence[Runbook]
    keys: Mapping[str, NodeKeys]
    tokens: Tokens


def load_plan(settings: Settings) -> Plan:
    """Read and check everything; raises `ConfigError`, `KeyFileError` or `TokensError`."""
    cluster = load_cluster(settings.supervisor.inventory)
    runbooks = load_runbooks(settings.supervisor.runbooks)
    tokens = Tokens(load_tokens(settings.credentials.tokens), clock.boottime)
    keys = _node_keys(settings.credentials.node_keys, cluster)
    return Plan(cluster, runbooks, keys, tokens)


def _node_keys(folder: Path, cluster: Cluster) -> dict[str, NodeKeys]:
    """Return each node's derived keys. A node without a key file is an error, not a silence."""
    masters = {node.name: load_key(folder / f"{node.name}.key") for node in cluster}
    return {name: NodeKeys.derive(master, name) for name, master in masters.items()}
