"""The port model: what is set, what is powered, and when."""

from typing import Any

from lab.switch.ports import Latencies, Ports


class _Clock:
    """A clock that the test moves."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        """Return the time."""
        return self.now


def _make(**settings: Any) -> tuple[Ports, _Clock]:
    clock = _Clock()
    ports = Ports(clock, Latencies(off=0.5, on=2.0, restart=3.0), **settings)
    for number in (6, 7):
        ports.plug(number, mac=f"02:00:00:00:00:{number:02d}")
    return ports, clock


def _forward(ports: Ports, clock: _Clock, seconds: float) -> None:
    end = clock.now + seconds
    while (due := ports.next_due()) is not None and due <= end:
        clock.now = due
        ports.run_due()
    clock.now = end


def test_power_follows_the_setting_after_its_latency() -> None:
    """`off` takes half a second to reach the device, `auto` two seconds."""
    ports, clock = _make()
    ports.set_admin([6], "off", "swctrl poe set off id 6", 1)
    assert (ports[6].admin, ports[6].powered) == ("off", True)
    _forward(ports, clock, 0.5)
    assert not ports[6].powered
    ports.set_admin([6], "auto", "swctrl poe set auto id 6", 2)
    _forward(ports, clock, 1.9)
    assert not ports[6].powered
    _forward(ports, clock, 0.2)
    assert ports[6].powered
    assert [(t.at, t.after) for t in ports.log if t.what == "power"] == [
        (100.5, "off"),
        (102.5, "on"),
    ]


def test_the_log_names_port_cause_and_session() -> None:
    """Each transition says which command of which session caused it."""
    ports, clock = _make()
    ports.set_admin([6], "off", "swctrl poe set off id 6", 41)
    _forward(ports, clock, 1)
    assert {(t.port, t.cause, t.session) for t in ports.log} == {(6, "swctrl poe set off id 6", 41)}


def test_restart_keeps_the_port_off_and_finishes_by_itself() -> None:
    """`restart` is off for its duration, even when `set auto` follows at once."""
    ports, clock = _make()
    ports.restart([6], "swctrl poe restart id 6", 1)
    ports.set_admin([6], "auto", "swctrl poe set auto id 6", 2)
    _forward(ports, clock, 3.4)
    assert not ports[6].powered
    _forward(ports, clock, 0.2)
    assert ports.history(6) == ["off", "on"]


def test_restart_leaves_a_switched_off_port_alone_unless_told_otherwise() -> None:
    """What a real switch does here is unknown, so both ways can be played."""
    for revives in (False, True):
        ports, clock = _make(restart_revives=revives)
        ports.set_admin([6], "off", "", 1)
        _forward(ports, clock, 1)
        ports.restart([6], "", 2)
        _forward(ports, clock, 10)
        assert ports[6].powered is revives


def test_off_during_a_pending_on_wins() -> None:
    """The latest setting decides; an older one that was still pending is dropped."""
    ports, clock = _make()
    ports.set_admin([6], "off", "", 1)
    _forward(ports, clock, 1)
    ports.set_admin([6], "auto", "", 1)
    _forward(ports, clock, 1)
    ports.set_admin([6], "off", "", 1)
    _forward(ports, clock, 10)
    assert not ports[6].powered


def test_watchers_hear_only_real_changes_of_power() -> None:
    """Setting what is already set, or an empty port, is no change of power."""
    ports, clock = _make()
    heard: list[tuple[int, bool]] = []
    ports.on_power(lambda port, powered: heard.append((port, powered)))
    ports.set_admin([6, 9], "off", "", 1)
    _forward(ports, clock, 1)
    ports.set_admin([6], "off", "", 1)
    ports.set_admin([6, 9], "auto", "", 1)
    _forward(ports, clock, 5)
    assert heard == [(6, False), (6, True)]


def test_a_blackout_drops_every_port_and_forgets_what_was_set_by_hand() -> None:
    """After a reboot a port that was switched off by hand is on."""
    ports, clock = _make()
    ports.set_admin([6], "off", "", 1)
    _forward(ports, clock, 1)
    ports.blackout(90, "reboot")
    assert not ports[7].powered
    _forward(ports, clock, 91)
    assert (ports[6].powered, ports[7].powered) == (True, True)


def test_a_device_tells_what_it_draws_and_whether_its_link_is_up() -> None:
    """Watts and link may be functions; without power nothing is drawn."""
    ports, clock = _make()
    ports[6].watts = lambda: 5.5
    ports[6].link = lambda: False
    assert (ports[6].draw(), ports[6].is_linked()) == (5.5, False)
    ports.set_admin([6], "off", "", 1)
    _forward(ports, clock, 1)
    assert ports[6].draw() == 0.0


def test_sfp_ports_never_give_power() -> None:
    """Ports 49 to 52 exist, without PoE."""
    ports, _ = _make()
    assert [port.number for port in ports if not port.poe] == [49, 50, 51, 52]
    ports.plug(49)
    assert not ports[49].powered
