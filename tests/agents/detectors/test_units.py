"""`unit_failed`, on the words of `systemctl show`."""

import pytest

from agents.detectors.units import judge
from agents.programs import ProgramError
from agents.systemctl import parse_show, unit_name
from common.observations import Truth
from common.wire import WireObservation

SHOWN = """\
Type=notify
Result=success
Id=nfs-server.service
LoadState=loaded
ActiveState=active
SubState=exited
InvocationID=8f14e45fceea167a5a36dedd4bea2543

Result=exit-code
Id=k3s.service
LoadState=loaded
ActiveState=failed
SubState=failed
InvocationID=c9f0f895fb98ab9159f51fd0297e236d
"""


def _block(**properties: str) -> str:
    return "\n".join(f"{key}={value}" for key, value in properties.items()) + "\n"


def _verdict(**properties: str) -> WireObservation:
    (unit,) = parse_show(["a.service"], _block(Id="a.service", **properties))
    return judge(unit)


def test_parses_in_the_order_asked() -> None:
    """Blocks belong to the names asked for, also when a name is an alias of the Id."""
    nfs, k3s = parse_show(["nfs-kernel-server.service", "k3s.service"], SHOWN)
    assert (nfs.name, nfs.active) == ("nfs-kernel-server.service", "active")
    assert (k3s.result, k3s.invocation) == ("exit-code", "c9f0f895fb98ab9159f51fd0297e236d")


def test_wrong_number_of_answers_is_an_error() -> None:
    """What can't be matched to names must not be guessed."""
    with pytest.raises(ProgramError, match="2 answers for 1 units"):
        parse_show(["k3s.service"], SHOWN)


@pytest.mark.parametrize(
    ("active", "sub", "status"),
    [
        ("active", "running", Truth.FALSE),
        ("active", "exited", Truth.FALSE),
        ("reloading", "reload", Truth.FALSE),
        ("failed", "failed", Truth.TRUE),
        ("inactive", "dead", Truth.TRUE),
        ("activating", "start", Truth.UNKNOWN),
        ("activating", "auto-restart", Truth.TRUE),
        ("activating", "auto-restart-queued", Truth.TRUE),
        ("deactivating", "stop-sigterm", Truth.UNKNOWN),
        ("", "", Truth.UNKNOWN),
    ],
)
def test_verdict_by_state(active: str, sub: str, status: Truth) -> None:
    """Must be active: failed, stopped and restarting for ever are failures, changing is unknown."""
    seen = _verdict(LoadState="loaded", ActiveState=active, SubState=sub, Result="success")
    assert (seen.kind, seen.subject, seen.status) == ("unit_failed", "a.service", status)


def test_reason_is_told() -> None:
    """The result that systemd noted is in the detail."""
    seen = _verdict(ActiveState="failed", SubState="failed", Result="oom-kill")
    assert seen.detail == "failed (failed), result oom-kill"


def test_unit_waiting_for_its_socket_is_fine() -> None:
    """A unit that its socket starts on demand may be inactive."""
    seen = _verdict(ActiveState="inactive", SubState="dead", TriggeredBy="ssh.socket")
    assert (seen.status, seen.detail) == (Truth.FALSE, "started on demand by ssh.socket")


def test_broken_unit_file_is_a_failure() -> None:
    """A unit whose file systemd can't use doesn't run."""
    assert _verdict(LoadState="bad-setting", ActiveState="inactive").status is Truth.TRUE


def test_names_are_completed_as_systemctl_does() -> None:
    """A bare name is a service; a name with a dot in it may still be one."""
    names = ["ssh", "ssh.socket", "getty@tty1", "my.app"]
    assert [unit_name(name) for name in names] == [
        "ssh.service",
        "ssh.socket",
        "getty@tty1.service",
        "my.app.service",
    ]
