"""Where the node's paths are, seen from memory."""

from pathlib import Path

import pytest

from agents.flags import Parser, settings_from
from agents.main import main
from agents.ram.host import Host, at

FLAGS = "--node green1 --role worker --supervisor http://127.0.0.1:1 --bus unix:path=/run/bus"


@pytest.mark.parametrize(
    ("path", "from_memory"),
    [
        ("/", "/host"),
        ("/etc/hosts", "/host/etc/hosts"),
        ("/proc", "/proc"),
        ("/proc/self/mountinfo", "/proc/self/mountinfo"),
        ("/run/credentials/pimedic-agent.service/node.key",) * 2,
        ("/running", "/host/running"),
        ("/dev/kmsg", "/dev/kmsg"),
    ],
)
def test_what_lies_in_memory_keeps_its_name(path: str, from_memory: str) -> None:
    """/proc, /sys, /dev and /run are the node's own; all else is below /host."""
    assert Host(mounts=-1).path(Path(path)) == Path(from_memory)
    assert at(None, Path(path)) == Path(path)


def test_flags_mean_the_nodes_paths() -> None:
    """Whoever writes a path into a flag need not know whether the agent runs from memory."""
    flags = Parser().parse_args(
        [*FLAGS.split(), "--boot-history", "/var/boots", "--k3s-credentials", "/run/k3s"]
    )
    settings = settings_from(flags, Host(mounts=-1))
    assert settings.rootfs == Path("/host")
    assert settings.procfs == Path("/proc")
    assert settings.boot_history == Path("/var/boots")  # asked of the disk helper
    assert settings.k3s_credentials == Path("/run/k3s")


def test_memory_needs_a_bus(capsys: pytest.CaptureFixture[str]) -> None:
    """No program can be started in there: one line, status 2."""
    with pytest.raises(SystemExit) as ended:
        main([*FLAGS.split(), "--from-ram", "--bus", "none"], mounts=0)
    assert ended.value.code == 2
    assert "argument --from-ram: needs --bus" in capsys.readouterr().err
