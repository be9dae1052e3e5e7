"""Every secret of one lab: made at its start, readable by its owner alone, gone with it."""

import hashlib
import os
import secrets
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import asyncssh

from common.signing import KEY_BYTES
from common.topology import Cluster

TOKEN_OWNER = "lab"  # noqa: S105 - whose token it is, not the token


@dataclass(frozen=True, slots=True)
class Credentials:
    """What the lab's own parts need; the supervisor and the agents read theirs from files."""

    node_host_keys: Mapping[str, asyncssh.SSHKey]
    nodes_client: asyncssh.SSHKey
    switch_host_key: asyncssh.SSHKey
    switch_client: asyncssh.SSHKey


def generate(directory: Path, cluster: Cluster) -> Credentials:
    """Make all keys and write the files that [credentials] names by default."""
    made = Credentials(
        {node.name: _ssh_key() for node in cluster}, _ssh_key(), _ssh_key(), _ssh_key()
    )
    for node in cluster:
        write_secret(key_file(directory, node.name), f"{secrets.token_hex(KEY_BYTES)}\n")
    _write_token(directory)
    write_secret(directory / "switch_key", _private(made.switch_client))
    write_secret(directory / "nodes_key", _private(made.nodes_client))
    switch = cluster.switch
    pins = [(switch.address, switch.ssh_port, made.switch_host_key)]
    write_secret(directory / "switch_known_hosts", _known_hosts(pins))
    pins = [(node.ip, node.ssh_port, made.node_host_keys[node.name]) for node in cluster]
    write_secret(directory / "nodes_known_hosts", _known_hosts(pins))
    return made


def key_file(directory: Path, node: str) -> Path:
    """Return where the master key of `node` lies."""
    return directory / "keys" / f"{node}.key"


def write_secret(path: Path, text: str) -> None:
    """Write a file that was never readable by others, not even for a moment."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(text)


def _write_token(directory: Path) -> None:
    """Write the bearer token for people to use, and for the supervisor only its hash."""
    token = secrets.token_urlsafe(32)
    write_secret(directory / "token", f"{token}\n")
    digest = hashlib.sha256(token.encode()).hexdigest()
    write_secret(directory / "tokens", f"{TOKEN_OWNER} sha256:{digest}\n")


def _ssh_key() -> asyncssh.SSHKey:
    return asyncssh.generate_private_key("ssh-ed25519")


def _private(key: asyncssh.SSHKey) -> str:
    return key.export_private_key().decode()


def _known_hosts(pins: Iterable[tuple[str, int, asyncssh.SSHKey]]) -> str:
    return "".join(
        f"[{host}]:{port} {key.export_public_key().decode().strip()}\n" for host, port, key in pins
    )
