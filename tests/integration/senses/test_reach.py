"""Reaching for the agent's port, and pinging, against the real kernel."""

import socket
from dataclasses import replace

import pytest
from structlog.testing import capture_logs

from supervisor.senses.reach import ReachSense
from tests.integration.servers import a_full_port
from tests.supervisor.pictures import a_node


def a_port(listening: bool) -> tuple[socket.socket, int]:  # noqa: FBT001 - a test's own word
    """A port of loopback."""
    sock = socket.socket()
    sock.bind(("127.0.0.1", 0))
    if listening:
        sock.listen()
    return sock, sock.getsockname()[1]


@pytest.mark.parametrize(("listening", "outcome"), [(True, "open"), (False, "refused")])
async def test_an_agents_port_is_open_or_refused(listening: bool, outcome: str) -> None:  # noqa: FBT001 - parametrized
    """Either proves a kernel."""
    sock, port = a_port(listening)
    node = replace(a_node("green1", 1), agent_port=port)
    with sock:
        (seen,) = await ReachSense(1, 5, icmp=False).look(node)
    assert (seen.node, seen.kind, seen.outcome) == ("green1", "tcp", outcome)


async def test_no_answer_is_nothing() -> None:
    """Not even a refusal within the timeout."""
    with a_full_port() as port:
        node = replace(a_node("green1", 1), agent_port=port)
        (seen,) = await ReachSense(1, 0.2, icmp=False).look(node)
    assert (seen.kind, seen.outcome) == ("tcp", "nothing")


def ping_allowed() -> bool:
    """Whether the kernel lets us ping without privileges."""
    try:
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM, socket.IPPROTO_ICMP).close()
    except OSError:
        return False
    return True


async def test_a_ping_is_answered_or_impossible_and_then_said_once() -> None:
    """Where the kernel forbids pings there is no observation, and one line in the log."""
    sock, port = a_port(listening=True)
    node = replace(a_node("green1", 1), agent_port=port)
    sense = ReachSense(1, 5)
    with sock, capture_logs() as logs:
        first, second = list(await sense.look(node)), list(await sense.look(node))
    kinds = [(one.kind, one.outcome) for one in first]
    assert [(one.kind, one.outcome) for one in second] == kinds
    if ping_allowed():
        assert kinds == [("tcp", "open"), ("icmp", "reply")]
        assert logs == []
    else:
        assert kinds == [("tcp", "open")]
        assert [(log["event"], log["sense"]) for log in logs] == [("sense_impaired", "icmp")]
