"""`look_at_peer`: another node's life as seen from here, when the supervisor asks.

It changes nothing. One node's word is never enough to call another dead, and the supervisor's
own link may be what is broken: so it asks some healthy nodes to look. The result is JSON:

    {"ssh": "banner", "agent": "answers", "boot_id": "...", "uptime_s": 12.3, "rpc": "answers"}

`ssh`    banner, reset, refused, silent (accepted, then no word) or nothing
`agent`  answers, http (some other answer), or as above
`rpc`    answers, garbled, or as above; only when `rpc_port` was given
"""

import asyncio
import errno
import ipaddress
import json
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

from agents.rpc_null import rpc_null
from agents.treatment import TreatmentError

_LOOK_S = 3.0
_MARGIN_S = 0.2
_DEFAULT_PORTS = {"ssh_port": 22, "agent_port": 8801}
_PORTS = frozenset({*_DEFAULT_PORTS, "rpc_port"})
_MOST_PORT = 65535
_READ_LIMIT = 8192
_SILENCE = {errno.EHOSTUNREACH, errno.EHOSTDOWN, errno.ENETUNREACH, errno.ENETDOWN, errno.ETIMEDOUT}

Talk = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[dict[str, Any]]]


class LookAtPeer:
    """Arguments: `address`, and optionally `ssh_port`, `agent_port`, `rpc_port`."""

    name = "look_at_peer"
    needs_root = False

    def __init__(self, networks: Sequence[str], bind: str = "") -> None:
        self._networks = tuple(ipaddress.ip_network(network) for network in networks)
        self._local = (bind, 0) if bind else None

    def refusal(self, arguments: Mapping[str, str]) -> str:
        """Allow addresses of the configured networks only: an agent is no port scanner."""
        if unknown := set(arguments) - {"address", *_PORTS}:
            return f"unknown argument {min(unknown)}"
        try:
            address = ipaddress.ip_address(arguments.get("address", ""))
        except ValueError:
            return f"address: expected an IP address, found {arguments.get('address', '')!r}"
        if not any(address in network for network in self._networks):
            return f"{address} is in none of the networks this agent may look into"
        for name in _PORTS & set(arguments):
            text = arguments[name]
            if not (text.isascii() and text.isdigit() and 0 < int(text) <= _MOST_PORT):
                return f"{name}: expected 1 to {_MOST_PORT}, found {text!r}"
        return ""

    async def carry_out(self, arguments: Mapping[str, str], deadline_s: float) -> str:
        """Look in all ways at once, each for a few seconds at most."""
        ports = {**_DEFAULT_PORTS, **{n: int(p) for n, p in arguments.items() if n in _PORTS}}
        within_s = min(_LOOK_S, deadline_s - _MARGIN_S)
        if within_s <= 0:
            raise TreatmentError("the deadline leaves no time to look")
        ways: list[tuple[str, str, Talk]] = [
            ("ssh", "ssh_port", _banner),
            ("agent", "agent_port", _healthz),
            ("rpc", "rpc_port", _rpc),
        ]
        looks = [
            self._look(way, arguments["address"], ports[port], talk, within_s)
            for way, port, talk in ways
            if port in ports
        ]
        seen: dict[str, Any] = {}
        for found in await asyncio.gather(*looks):
            seen |= found
        return json.dumps(seen, separators=(",", ":"))

    async def _look(
        self, way: str, address: str, port: int, talk: Talk, within_s: float
    ) -> dict[str, Any]:
        accepted = False
        try:
            async with asyncio.timeout(within_s):
                reader, writer = await asyncio.open_connection(
                    address, port, local_addr=self._local, limit=_READ_LIMIT
                )
                accepted = True
                try:
                    return await talk(reader, writer)
                finally:
                    writer.close()
        except TimeoutError:
            return {way: "silent" if accepted else "nothing"}
        except (asyncio.IncompleteReadError, asyncio.LimitOverrunError, ValueError):
            return {way: "reset"}  # closed before a whole answer, or no line of the protocol
        except OSError as error:
            return {way: _failure(error, accepted=accepted)}


def _failure(error: OSError, *, accepted: bool) -> str:
    if error.errno == errno.ECONNREFUSED:
        return "refused"
    if accepted or error.errno in {errno.ECONNRESET, errno.ECONNABORTED}:
        return "reset"
    if error.errno in _SILENCE:
        return "nothing"
    raise TreatmentError(f"could not look: {error}") from error  # our fault, not the peer's


async def _banner(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> dict[str, Any]:
    while line := await reader.readline():
        if line.startswith(b"SSH-"):
            return {"ssh": "banner"}
    return {"ssh": "reset"}


async def _healthz(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> dict[str, Any]:
    writer.write(b"GET /healthz HTTP/1.0\r\n\r\n")
    await writer.drain()
    received = b""
    while more := await reader.read(_READ_LIMIT - len(received)):
        received += more
    if not received:
        return {"agent": "reset"}
    try:
        health = json.loads(received.partition(b"\r\n\r\n")[2])
        return {
            "agent": "answers",
            "boot_id": str(health["boot_id"])[:64],
            "uptime_s": float(health["uptime_s"]),
        }
    except (ValueError, KeyError, TypeError):
        return {"agent": "http"}


async def _rpc(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> dict[str, Any]:
    return {"rpc": "answers" if await rpc_null(reader, writer) else "garbled"}
