"""Whether sshd still speaks: an open port proves a kernel, the banner proves a userland.

A node whose root turned read-only accepts the connection and resets it before the banner.
We say nothing and close after the banner, which costs the node less than a login would. OpenSSH
9.8 and later fine such visitors a second each (PerSourcePenalties), below what they act upon.
"""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from common.observations import Observation, Sense
from common.topology import Node
from supervisor.core.events import Observed
from supervisor.core.liveness import Ssh
from supervisor.senses.rounds import Rounds
from supervisor.senses.tcp import Connected, Failed, FaultLog, OwnFaultError, connect, describe

KIND = "ssh_banner"
_BYTES = 2048
_SHOWN = 200


@dataclass(frozen=True, slots=True)
class SshBannerSense:
    """Asks each node's ssh port for its banner. `timeout_s` bounds the whole look."""

    every_s: float
    timeout_s: float
    source: str = ""
    at_once: int = 16
    _faults: FaultLog = field(default_factory=lambda: FaultLog(KIND))

    async def run(self, nodes: Sequence[Node], emit: Callable[[Observed], None]) -> None:
        """Look for ever."""

        async def look(node: Node) -> None:
            observation = await self.look(node)
            if observation:
                emit(Observed((observation,)))

        await Rounds(self.every_s, self.at_once).run(nodes, look)

    async def look(self, node: Node) -> Observation | None:
        """Look once; None if we could not."""
        try:
            outcome, detail = await banner(node.ip, node.ssh_port, self.timeout_s, self.source)
        except OwnFaultError as error:
            self._faults.trouble(error)
            return None
        self._faults.fine()
        return Observation(Sense.PROBE, node.name, KIND, outcome, detail=detail)


async def banner(host: str, port: int, timeout_s: float, source: str = "") -> tuple[Ssh, str]:
    """Return what came back, with the banner or the error's text."""
    loop = asyncio.get_running_loop()
    deadline = loop.time() + timeout_s
    match await connect(host, port, timeout_s, source):
        case Failed(outcome, detail):
            return Ssh(outcome), detail
        case Connected(reader, writer):
            try:
                async with asyncio.timeout_at(deadline):
                    return await _listen(reader)
            except TimeoutError:
                return Ssh.SILENT, f"accepted, then silent for {timeout_s:g} s"
            finally:
                writer.close()


async def _listen(reader: asyncio.StreamReader) -> tuple[Ssh, str]:
    """Read up to the banner; other lines may come before it (RFC 4253, 4.2)."""
    received = b""
    try:
        while len(received) < _BYTES:
            chunk = await reader.read(_BYTES - len(received))
            if not chunk:
                return Ssh.RESET, _shown(received, "closed before the banner")
            received += chunk
            for line in received.split(b"\n")[:-1]:
                if line.startswith(b"SSH-"):
                    return Ssh.BANNER, _printable(line)
    except TimeoutError:
        raise  # also what the kernel raises for ETIMEDOUT: no word came either way
    except OSError as error:
        return Ssh.RESET, _shown(received, describe(error))
    return Ssh.RESET, _shown(received, "speaks, but not ssh")


def _shown(received: bytes, what: str) -> str:
    return f"{what}: {_printable(received)}" if received else what


def _printable(received: bytes) -> str:
    text = received[:_SHOWN].decode("ascii", "replace").strip()
    return "".join(char if char.isprintable() else " " for char in text)
