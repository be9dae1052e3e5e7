"""The lab's directory: one running lab, and no surprise for what lies there already."""

import os
import stat
from pathlib import Path

import pytest

from common.inventory import load_cluster
from common.signing import load_key
from lab.addresses import Addresses
from lab.credentials import generate, key_file
from lab.directory import MARKER, LabDirectory
from lab.errors import LabError
from lab.settings import CONFIG, LabSettings, pimedic_toml
from supervisor.settings import load_settings


def test_a_directory_has_one_lab_at_a_time(tmp_path: Path) -> None:
    """While it is claimed a second claim is refused, in words."""
    directory = LabDirectory(tmp_path / "lab")
    held = directory.claim()
    with pytest.raises(LabError, match="a lab already runs here"):
        directory.claim()
    os.close(held)


def test_what_a_dead_lab_left_is_cleared(tmp_path: Path) -> None:
    """A marker that nobody holds is a leftover: everything beside it goes."""
    directory = LabDirectory(tmp_path / "lab")
    os.close(directory.claim())
    (directory.path / "token").write_text("old")
    os.close(directory.claim())
    assert [path.name for path in directory.path.iterdir()] == [MARKER]


def test_somebody_elses_directory_is_left_alone(tmp_path: Path) -> None:
    """A directory with other things in it is refused, and nothing in it is touched."""
    (tmp_path / "thesis.tex").write_text("years of work")
    with pytest.raises(LabError, match="is not a lab's"):
        LabDirectory(tmp_path).claim()
    assert (tmp_path / "thesis.tex").read_text() == "years of work"


def test_a_link_in_the_place_of_the_directory_is_refused(tmp_path: Path) -> None:
    """A guessable name in a shared /tmp may be a trap."""
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "lab").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(LabError, match="belongs to somebody else"):
        LabDirectory(tmp_path / "lab").claim()


def test_a_path_too_long_for_a_socket_is_told_beforehand(tmp_path: Path) -> None:
    """The kernel's 107 bytes are said in words, not as an error at the end of the start."""
    with pytest.raises(LabError, match=r"shorter --dir"):
        LabDirectory(tmp_path / ("x" * 100)).claim()


def test_only_its_owner_can_read_a_secret(tmp_path: Path) -> None:
    """Every file of secrets is mode 600, and each node's key is one the agent accepts."""
    cluster = load_cluster(CONFIG / "cluster.toml")
    generate(tmp_path, cluster)
    modes = {path: stat.S_IMODE(path.stat().st_mode) for path in tmp_path.rglob("*")}
    assert {mode for path, mode in modes.items() if path.is_file()} == {0o600}
    keys = {load_key(key_file(tmp_path, node.name)) for node in cluster}
    assert len(keys) == 19
    token = (tmp_path / "token").read_text().strip()
    assert token not in (tmp_path / "tokens").read_text()


def test_the_supervisor_accepts_the_labs_settings(tmp_path: Path, addresses: Addresses) -> None:
    """The generated file passes the supervisor's own reader, with nothing on real addresses."""
    lab = LabSettings(tmp_path, addresses)
    (tmp_path / "pimedic.toml").write_text(pimedic_toml(lab, addresses.of("192.168.2.3")))
    settings = load_settings(tmp_path / "pimedic.toml")
    assert settings.supervisor.listen == (
        f"127.0.0.1:{addresses.port}",
        f"127.{addresses.net}.2.3:{addresses.port}",
    )
    assert settings.supervisor.inventory == tmp_path / "cluster.toml"
    assert settings.supervisor.state_dir == tmp_path / "state"
    assert not settings.senses.icmp
