"""Treatments over ssh: a fixed command line for each, never one built from input.

For when the agent can't be asked. Host keys are pinned; only the client key given is offered.
Each action logs in afresh, one at a time on a node. A connection kept for the day when sshd
can't fork any more would hold a session open on every node for ever, and its commands would still
be read from the disk that failed; the agent, which lives in memory and keeps its heartbeat's
connection, is that other door.

Where the connection ends decides what is known: before the command was accepted, nothing
happened; after that, only its exit status proves anything.
"""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import asyncssh
import structlog

from common.topology import Node
from supervisor.actuators.ssh_commands import command_for
from supervisor.core.effects import Action, Treatment
from supervisor.core.events import Result

_SHOWN = 300
_MOST = 8192
_log = structlog.get_logger(__name__)

Outcome = tuple[Result, str]


@dataclass(frozen=True, slots=True)
class SshActuator:
    """Logs in to nodes. `connect_s` bounds connecting and logging in, in seconds."""

    nodes: Mapping[str, Node]
    key: Path
    known_hosts: Path
    source: str = ""
    connect_s: float = 20.0
    _turns: dict[str, asyncio.Lock] = field(default_factory=dict)

    async def perform(self, action: Action) -> Outcome:
        """Carry `action` out within its deadline; arguments only choose among fixed lines."""
        node = self.nodes.get(action.node)
        command = command_for(action, node.role) if node else None
        if command is None or node is None:
            what = " ".join([action.treatment, *action.arguments.values()])
            return Result.REFUSED, f"ssh has no way to {what} on {action.node}"
        deadline = asyncio.get_running_loop().time() + action.deadline_s
        turn = self._turns.setdefault(node.name, asyncio.Lock())
        try:
            async with asyncio.timeout_at(deadline):
                await turn.acquire()
        except TimeoutError:
            return Result.NOT_SENT, f"{node.name}: another action over ssh took all the time"
        try:
            return await self._alone(node, action.treatment, command, deadline)
        finally:
            turn.release()

    async def _alone(
        self, node: Node, treatment: Treatment, command: str, deadline: float
    ) -> Outcome:
        connect_by = asyncio.get_running_loop().time() + self.connect_s
        try:
            async with asyncio.timeout_at(min(connect_by, deadline)):
                connection = await self._connect(node)
        except TimeoutError:
            return Result.NOT_SENT, f"{node.name}: no login within the deadline"
        except (OSError, ValueError, asyncssh.Error) as error:
            return _not_connected(node, error)
        try:
            return await _run(connection, treatment, command, deadline)
        finally:
            connection.abort()

    async def _connect(self, node: Node) -> asyncssh.SSHClientConnection:
        return await asyncssh.connect(
            node.ip,
            node.ssh_port,
            local_addr=(self.source, 0) if self.source else None,
            username=node.ssh_user,
            client_keys=[str(self.key)],
            known_hosts=str(self.known_hosts),
            config=None,
            agent_path=None,
            preferred_auth="publickey",
            keepalive_interval=5,
            keepalive_count_max=2,
        )


def _not_connected(node: Node, error: Exception) -> Outcome:
    """Nothing was sent. Trying again helps against a busy node, not against a wrong key."""
    match error:
        case asyncssh.HostKeyNotVerifiable():
            detail = f"{node.name} at {node.ip} shows a host key that isn't the pinned one"
            _log.error("ssh_host_key_mismatch", node=node.name, address=node.ip)
            return Result.REFUSED, f"HOST KEY MISMATCH: {detail}; nothing was sent"
        case asyncssh.PermissionDenied():
            return Result.REFUSED, f"{node.name} doesn't let {node.ssh_user} in with our key"
        case OSError(filename=str()) | asyncssh.KeyImportError() | ValueError():
            return Result.REFUSED, f"our key or known_hosts file can't be used: {error}"
        case _:
            return (
                Result.NOT_SENT,
                f"{node.name}: no ssh connection: {str(error) or type(error).__name__}",
            )


async def _run(
    connection: asyncssh.SSHClientConnection, treatment: Treatment, command: str, deadline: float
) -> Outcome:
    """Run the command. Once the node accepted it, only an exit status is proof."""
    try:
        async with asyncio.timeout_at(deadline):
            process = await connection.create_process(
                command, stdin=asyncssh.DEVNULL, stdout=asyncssh.DEVNULL, errors="replace"
            )
    except asyncssh.ChannelOpenError as error:
        return Result.NOT_SENT, f"logged in, but no command was taken: {error}"
    except (TimeoutError, OSError, asyncssh.Error) as error:
        why = str(error) or "the deadline passed"
        return Result.UNKNOWN, f"logged in, and the command may have been taken: {why}"
    try:
        async with asyncio.timeout_at(deadline):
            said = await _listen(process)
    except TimeoutError:
        return Result.UNKNOWN, "the command was sent, and hadn't ended by its deadline"
    except (OSError, asyncssh.Error) as error:
        return _lost(treatment, str(error))
    return _ended(treatment, process, said)


async def _listen(process: asyncssh.SSHClientProcess[str]) -> str:
    """Return what the command complains of, once it has ended; a flood of it never ends."""
    said = ""
    while len(said) < _MOST and (chunk := await process.stderr.read(_MOST)):
        said += chunk
    await process.wait_closed()
    return " ".join(said.split())[-_SHOWN:]


def _ended(treatment: Treatment, process: asyncssh.SSHClientProcess[str], said: str) -> Outcome:
    match process.exit_status, process.exit_signal:
        case 0, _:
            return Result.SUCCEEDED, said
        case _, (str(signal), *_):
            return _lost(treatment, f"ended by signal {signal}")
        case None, _:
            return _lost(treatment, said or "the connection ended before the exit status")
        case status, _:
            return Result.FAILED, f"exit status {status}: {said}"


def _lost(treatment: Treatment, why: str) -> Outcome:
    """A node that reboots hangs up; that any other command ended can't be known."""
    if treatment is Treatment.REBOOT:
        return Result.SUCCEEDED, f"the node hung up, as a rebooting one does: {why}"
    return Result.UNKNOWN, f"the connection was lost after the command was sent: {why}"
