"""Puts a virtual Pi together: its trees, its sshd, and the real programs that it runs."""

import os
import shlex
import sys
from dataclasses import dataclass
from pathlib import Path

from common.topology import Cluster, Node, Role
from lab.credentials import Credentials, key_file
from lab.directory import LabDirectory
from lab.errors import LabError
from lab.pi import Parts
from lab.services import Service
from lab.settings import LabSettings
from lab.ssh_endpoint import SshEndpoint
from lab.tree import Tree, netboot_server
from lab.undertaker import MARK

_INHERITED = ("PATH", "HOME", "LANG", "TZ")


_NOT_ITS_OWN = ("clock_sync", "clock_step")


@dataclass(frozen=True, slots=True)
class Workshop:
    """Everything that `assemble` needs to know. `mark` names the lab in its processes."""

    settings: LabSettings
    directory: LabDirectory
    cluster: Cluster
    credentials: Credentials
    mark: str

    def assemble(self, node: Node) -> Parts:
        """Make the parts of `node`; nothing is started."""
        directory = self.directory.of_node(node.name)
        directory.mkdir(mode=0o700, parents=True)
        server = netboot_server(node, {other.name: other.ip for other in self.cluster})
        tree = Tree(node, directory, server)
        ssh = SshEndpoint(
            node.ip,
            node.ssh_port,
            node.ssh_user,
            self.credentials.node_host_keys[node.name],
            self.credentials.nodes_client,
        )
        others = (
            [self._supervisor()] if node.role is Role.BACKUP and self.settings.supervisor else []
        )
        return Parts(node, tree, ssh, self._agent(node, tree), others)

    def _agent(self, node: Node, tree: Tree) -> Service:
        backup = backup_of(self.cluster)
        options = {
            "--node": node.name,
            "--role": str(node.role),
            "--supervisor": f"http://{backup.ip}:{self.settings.addresses.port}",
            "--key-file": key_file(self.directory.path, node.name),
            "--listen": f"{node.ip}:{node.agent_port}",
            "--bind": node.ip,
            "--interval": self.settings.agent_interval_s,
            "--path.procfs": tree.proc,
            "--path.sysfs": tree.sys,
            "--path.rootfs": tree.root,
            "--path.run": tree.run,
            "--systemctl": shlex.quote(str(tree.units.program)),
            # The host's kernel log and Kubernetes are not this Pi's.
            "--path.kmsg": tree.root / "dev/kmsg",
            "--k3s-server": "",
        }
        words = (str(word) for option in options.items() for word in option)
        # What this machine's clock does says nothing about a Pi's.
        without = (word for name in _NOT_ITS_OWN for word in ("--no-detector", name))
        command = [program("pimedic-agent"), *words, *without]
        return Service("agent", command, tree.directory / "agent.log", self._environment())

    def _supervisor(self) -> Service:
        command = [
            program("pimedic-supervisor"),
            "--config",
            str(self.directory.path / "pimedic.toml"),
        ]
        return Service(
            "supervisor",
            command,
            self.directory.supervisor_log,
            self._environment(),
            restarts=self.settings.restart_supervisor,
        )

    def _environment(self) -> dict[str, str]:
        inherited = {name: os.environ[name] for name in _INHERITED if name in os.environ}
        return {**inherited, MARK: self.mark, "PYTHONUNBUFFERED": "1"}


def backup_of(cluster: Cluster) -> Node:
    """Return the node that the supervisor runs on. Raises `LabError` when there is none."""
    for node in cluster:
        if node.role is Role.BACKUP:
            return node
    raise LabError('the inventory has no node with role = "backup" for the supervisor to run on')


def program(name: str) -> str:
    """Return the path of one of our programs, as installed beside this Python."""
    path = Path(sys.executable).with_name(name)
    if not path.exists():
        raise LabError(f"{path}: not installed; run `make demo` in a checkout")
    return str(path)
