"""Which lost connections tell something."""

from supervisor.api.connections import Connections

SERVER = ("127.0.0.1", 8800)


def ends(port: int, server: tuple[str, int] = SERVER) -> tuple[tuple[str, int], tuple[str, int]]:
    """A connection from `port`."""
    return (("127.0.0.7", port), server)


def test_the_current_connection_of_a_node_is_reported() -> None:
    """Its loss is told once."""
    lost: list[str] = []
    known = Connections(lost.append)
    known.belongs_to("green1", ends(1))
    known.lost("127.0.0.7", ends(1))
    known.lost("127.0.0.7", ends(1))
    assert lost == ["green1"]


def test_a_former_connection_is_not_reported() -> None:
    """After a reconnect, the end of the old connection is no news."""
    lost: list[str] = []
    known = Connections(lost.append)
    known.belongs_to("green1", ends(1))
    known.belongs_to("green1", ends(2))
    known.lost("127.0.0.7", ends(1))
    assert lost == []
    known.lost("127.0.0.7", ends(2))
    assert lost == ["green1"]


def test_one_port_towards_two_of_our_addresses_is_two_connections() -> None:
    """A connection is known by both its ends."""
    lost: list[str] = []
    known = Connections(lost.append)
    known.belongs_to("green1", ends(1))
    known.belongs_to("green2", ends(1, ("127.0.0.2", 8800)))
    known.lost("127.0.0.7", ends(1, ("127.0.0.2", 8800)))
    assert lost == ["green2"]


def test_strangers_are_not_reported() -> None:
    """A connection on which nobody proved a name is nobody's."""
    lost: list[str] = []
    Connections(lost.append).lost("127.0.0.7", ends(1))
    assert lost == []


def test_one_host_may_have_only_so_many() -> None:
    """Beyond the limit a host's connections are turned away; others' are not."""
    known = Connections(lambda _: None, per_host=2)
    assert [known.opened("a"), known.opened("a"), known.opened("a")] == [True, True, False]
    assert known.opened("b")
    known.lost("a", ends(1))
    known.lost("a", ends(2))
    assert known.opened("a")


def test_muted_it_reports_nothing() -> None:
    """While we ourselves hang up, no loss is told."""
    lost: list[str] = []
    known = Connections(lost.append)
    known.belongs_to("green1", ends(1))
    known.mute()
    known.lost("127.0.0.7", ends(1))
    assert lost == []
