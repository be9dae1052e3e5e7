"""`root_read_only`, on mount tables as kernels write them."""

from pathlib import Path

import pytest

from agents.detector import DetectorError
from agents.detectors.read_only_mounts import ReadOnlyMounts, judge, read_only_in_fstab
from agents.disk import Disk
from agents.mount_table import parse_mountinfo
from common.observations import Truth
from tests.agents.watching import first_look, watched

PROC = "22 27 0:21 / /proc rw,relatime shared:14 - proc proc rw\n"


def _root(
    options: str, super_options: str, filesystem: str = "ext4", source: str = "/dev/sda2"
) -> str:
    return (
        f"{PROC}27 1 8:2 / / {options} shared:1 master:2 - {filesystem} {source} {super_options}\n"
    )


@pytest.mark.parametrize(
    ("table", "status", "detail"),
    [
        pytest.param(
            _root("rw,relatime", "rw,discard,errors=remount-ro"),
            Truth.FALSE,
            "ext4 from /dev/sda2",
            id="healthy",
        ),
        pytest.param(
            _root("rw,relatime", "rw,errors=remount-ro,emergency_ro"),
            Truth.TRUE,
            "ext4 from /dev/sda2: the file system is emergency_ro",
            id="error-on-kernel-6.18",
        ),
        pytest.param(
            _root("rw,relatime", "ro,errors=remount-ro"),
            Truth.TRUE,
            "ext4 from /dev/sda2: the file system is ro",
            id="error-on-kernel-6.8",
        ),
        pytest.param(
            _root("ro,relatime", "ro"),
            Truth.TRUE,
            "ext4 from /dev/sda2: the file system is ro",
            id="remount-ro",
        ),
        pytest.param(
            _root("ro,relatime", "rw"),
            Truth.TRUE,
            "ext4 from /dev/sda2: mounted ro",
            id="bind-remount-ro",
        ),
        pytest.param(
            _root("rw,relatime", "rw,errors=continue"),
            Truth.FALSE,
            "ext4 from /dev/sda2",
            id="error-with-errors=continue",
        ),
        pytest.param(
            _root(
                "rw,relatime",
                "rw,vers=3,hard,proto=tcp,addr=192.168.2.1",
                "nfs",
                "192.168.2.1:/nfs/y1",
            ),
            Truth.FALSE,
            "nfs from 192.168.2.1:/nfs/y1",
            id="nfs-root",
        ),
        pytest.param(
            _root("ro,relatime", "ro", "squashfs", "/dev/loop0"),
            Truth.FALSE,
            "squashfs from /dev/loop0: read-only by design",
            id="by-design",
        ),
    ],
)
def test_verdicts_on_the_root(table: str, status: Truth, detail: str) -> None:
    """Mount options and superblock options both count, and ro by design is no fault."""
    seen = judge("/", parse_mountinfo(table))
    assert (seen.kind, seen.subject, seen.status, seen.detail) == (
        "root_read_only",
        "/",
        status,
        detail,
    )


def test_last_mount_hides_the_others() -> None:
    """Of several mounts on one point only the last is seen, as by every program."""
    table = "1 1 0:2 / / ro - rootfs rootfs ro\n" + _root("rw", "rw")
    assert judge("/", parse_mountinfo(table)).status is Truth.FALSE
    assert judge("/", parse_mountinfo(table + _root("ro", "rw"))).status is Truth.TRUE


def test_missing_mount_is_unknown() -> None:
    """A configured point where nothing is mounted is neither fine nor read-only."""
    assert judge("/srv", parse_mountinfo(_root("rw", "rw"))).status is Truth.UNKNOWN


def test_no_optional_fields_and_escapes() -> None:
    r"""Lines without propagation tags parse, and \040 is a space."""
    (mount,) = parse_mountinfo("9 1 8:1 / /mnt/my\\040disk rw,noatime - ext4 /dev/a\\134b rw\n")
    assert (mount.point, mount.source) == ("/mnt/my disk", "/dev/a\\b")


@pytest.mark.parametrize("line", ["garbage", "1 2 3 - ext4", "27 1 8:2 / / rw - ext4"])
def test_foreign_text_is_an_error(line: str) -> None:
    """What isn't a mount table makes the detector fail, so that the verdict is unknown."""
    with pytest.raises(DetectorError, match="unexpected line"):
        parse_mountinfo(line)


def test_reads_the_tree_it_is_given(tmp_path: Path) -> None:
    """Only the configured points are judged, in their order, from the given proc tree."""
    (tmp_path / "self").mkdir()
    (tmp_path / "self/mountinfo").write_text(
        _root("rw", "rw,emergency_ro") + "30 27 0:9 / /data rw - ext4 /dev/sdb1 rw\n"
    )
    seen = ReadOnlyMounts(tmp_path, ("/data", "/")).observe()
    assert [(one.subject, one.status) for one in seen] == [
        ("/data", Truth.FALSE),
        ("/", Truth.TRUE),
    ]


def test_this_machine_has_a_root() -> None:
    """On the real proc tree there is a verdict on the root."""
    (seen,) = ReadOnlyMounts(Path("/proc")).observe()
    assert seen.status is not Truth.UNKNOWN


async def test_fstab_names_the_design(tmp_path: Path, disk: Disk) -> None:
    """What fstab wants read-only is no fault, unless the kernel turned it so in an emergency."""
    (tmp_path / "self").mkdir()
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc/fstab").write_text(
        "# <file system> <mount point> <type> <options>\n"
        "/dev/sdb1 /data ext4 ro,nofail 0 2\n/dev/sda2 / ext4 errors=remount-ro 0 1\nshort\n"
    )
    assert read_only_in_fstab((tmp_path / "etc/fstab").read_text()) == {"/data"}
    table = tmp_path / "self/mountinfo"
    detector = ReadOnlyMounts(tmp_path, ("/data",), tmp_path, disk=disk)
    table.write_text("30 27 0:9 / /data rw - ext4 /dev/sdb1 ro\n")
    with pytest.raises(DetectorError, match="isn't known yet"):
        detector.observe()
    async with watched(detector) as bell:
        assert (await first_look(detector, bell))[0].status is Truth.FALSE
        table.write_text("30 27 0:9 / /data rw - ext4 /dev/sdb1 rw,emergency_ro\n")
        assert detector.observe()[0].status is Truth.TRUE


def test_a_replaced_table_is_opened_anew(tmp_path: Path) -> None:
    """In a tree of plain files a table replaced by rename is seen, not the one kept open."""
    table, new = tmp_path / "self" / "mountinfo", tmp_path / "new"
    table.parent.mkdir()
    line = "26 1 8:2 / / rw,relatime - ext4 /dev/sda2 rw{}\n"
    table.write_text(line.format(""))
    detector = ReadOnlyMounts(tmp_path, ("/",))
    assert [seen.status for seen in detector.observe()] == ["false"]
    new.write_text(line.format(",emergency_ro"))
    new.rename(table)
    assert [seen.status for seen in detector.observe()] == ["true"]
