"""The way to the disk, on real files that really hang."""

import asyncio
import os
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from agents.disk import Disk, DiskError, RootStalledError
from common.tasks import spawn
from lab.hanging import HangingFile


@pytest.fixture(autouse=True)
def root(tmp_path: Path) -> Path:
    """A root with what is probed first, and something else."""
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc/hostname").write_text("red2\n")
    (tmp_path / "etc/hosts").write_text("127.0.1.1 red2\n")
    return tmp_path


@pytest.fixture
def hanging(root: Path) -> Iterator[Callable[[str], HangingFile]]:
    """Hangs files, and thaws at the end what the test didn't."""
    made: list[HangingFile] = []

    def hang(name: str) -> HangingFile:
        made.append(HangingFile(root / name))
        made[-1].hang()
        return made[-1]

    yield hang
    for file in made:
        file.thaw()


def helpers() -> set[int]:
    """Return this process's children that are disk helpers, living or hanging."""
    found = set()
    for task in Path("/proc/self/task").iterdir():
        for pid in (task / "children").read_text().split():
            if b"disk_helper" in Path("/proc", pid, "cmdline").read_bytes():
                found.add(int(pid))
    return found


async def until(wanted: Callable[[], object]) -> None:
    """Wait until `wanted` is true."""
    async with asyncio.timeout(15):
        while not wanted():  # noqa: ASYNC110 - the kernel tells nobody
            await asyncio.sleep(0.02)


async def test_answers_are_those_of_the_file_system(root: Path, disk: Disk) -> None:
    """Contents, names, modes, links, and errors as `OSError` of their kind."""
    (root / "link").symlink_to("etc/hosts")
    (root / "etc/hosts").chmod(0o640)
    assert await disk.read("/etc/hosts") == b"127.0.1.1 red2\n"
    assert await disk.names("/") == ["etc/", "link"]
    assert await disk.mode("/link") & 0o777 == 0o640
    assert await disk.target("/link") == "etc/hosts"
    assert await disk.exists("/etc")
    assert not await disk.exists("/etc/hosts/below")
    await disk.write("/etc/new", b"content")
    assert (root / "etc/new").read_bytes() == b"content"
    with pytest.raises(FileNotFoundError, match="/etc/none"):
        await disk.read("/etc/none")
    with pytest.raises(IsADirectoryError):
        await disk.read("/etc")


async def test_too_much_is_refused(root: Path, disk: Disk) -> None:
    """64 KiB and no more, of files and of folders; the helper survives it."""
    (root / "long").write_bytes(b"x" * (64 * 1024 + 1))
    (root / "most").write_bytes(b"x" * 64 * 1024)
    (root / "full").mkdir()
    for number in range(300):
        (root / "full" / f"{number:0250}").touch()
    for question in (disk.read("/long"), disk.names("/full")):
        with pytest.raises(OSError, match="too large"):
            await question
    assert len(await disk.read("/most")) == 64 * 1024


async def test_trial_writes_leave_nothing(disk: Disk) -> None:
    """What was written is gone afterwards, and nothing else was touched."""
    await disk.try_to_write("/")
    assert await disk.names("/") == ["etc/"]


async def test_the_probe_takes_what_is_there(root: Path, disk: Disk) -> None:
    """The first file with content; where there is none, that is told."""
    assert await disk.probe() == "etc/hostname"
    (root / "etc/hostname").write_text("")
    assert await disk.probe() == "etc/hosts"
    (root / "etc/hosts").unlink()
    with pytest.raises(FileNotFoundError):
        await disk.probe()


async def test_an_unanswered_probe_is_a_stall_until_it_is_answered(
    disk: Disk, hanging: Callable[[str], HangingFile]
) -> None:
    """Others are refused at once meanwhile; the same helper and the same question go on."""
    await disk.probe()
    told: list[bool] = []
    before, file = helpers(), hanging("etc/hostname")
    with disk.stalls_told_to(lambda: told.append(disk.stalled_s(0) is not None)):
        probe = spawn(disk.probe(), "probe")
        await until(lambda: told)
        with pytest.raises(RootStalledError, match="the root is stalled"):
            await disk.read("/etc/hosts")
        assert told == [True]
        file.thaw()
        assert await probe == "etc/hostname"
    assert told == [True, False]
    assert helpers() == before
    assert await disk.read("/etc/hosts")


async def test_one_hanging_file_is_no_stall(
    disk: Disk, hanging: Callable[[str], HangingFile]
) -> None:
    """Whoever asked for it learns that; the probe has its turn, and there is one helper again."""
    await disk.probe()
    before = helpers()
    hanging("etc/hosts")
    question = spawn(_reason(disk.read("/etc/hosts")), "question")
    await asyncio.sleep(0)
    assert await disk.probe() == "etc/hostname"
    assert disk.stalled_s(0) is None
    assert await question == "/etc/hosts: no answer within 2 s"
    await until(lambda: len(helpers()) == 1)
    assert helpers() != before


async def _reason(question: "asyncio.Future[bytes] | object") -> str:
    try:
        await question  # type: ignore[misc]
    except DiskError as error:
        return str(error)
    return ""


async def test_a_killed_helper_is_replaced(disk: Disk) -> None:
    """Whether it idles or hangs: the next question has an answer, and one process is left."""
    await disk.probe()
    (victim,) = helpers()
    os.kill(victim, signal.SIGKILL)
    assert await disk.read("/etc/hosts")
    assert victim not in helpers()
    assert len(helpers()) == 1


async def test_a_helper_killed_in_a_stall_is_replaced_and_the_stall_goes_on(
    disk: Disk, hanging: Callable[[str], HangingFile]
) -> None:
    """No answer came, so nothing ended; the new one hangs likewise, and wakes with the thaw."""
    await disk.probe()
    file = hanging("etc/hostname")
    probe = spawn(disk.probe(), "probe")
    await until(lambda: disk.stalled_s(0) is not None)
    (victim,) = helpers()
    os.kill(victim, signal.SIGKILL)
    await until(lambda: helpers() and victim not in helpers())
    assert disk.stalled_s(0) is not None
    file.thaw()
    assert await probe == "etc/hostname"
    assert disk.stalled_s(0) is None


async def test_a_helper_that_keeps_ending_is_not_started_in_a_spin(tmp_path: Path) -> None:
    """A root that isn't there ends each at once: that is no stall, and starts get rarer."""
    disk = Disk(tmp_path / "none")
    for _ in range(3):
        with pytest.raises(DiskError, match=r"keeps ending; again in \d"):
            await disk.probe()
    assert disk.stalled_s(0) is None
    disk.close()


async def test_a_stopped_helper_can_be_left_behind(root: Path) -> None:
    """SIGSTOP is as near to state D as a test comes: closing takes no time, and none is left."""
    disk = Disk(root)
    await disk.probe()
    (pid,) = helpers()
    os.kill(pid, signal.SIGSTOP)
    disk.close()
    assert helpers() == set()


async def test_a_hanging_helper_ends_with_its_agent(
    disk: Disk, hanging: Callable[[str], HangingFile]
) -> None:
    """Its socket's end is its own, even in the middle of a call that never returns."""
    await disk.probe()
    (pid,) = helpers()
    hanging("etc/hostname")
    probe = spawn(_reason(disk.probe()), "probe")
    await until(lambda: Path(f"/proc/{pid}/wchan").read_text() == "wait_for_partner")
    assert disk._helper
    disk._helper._socket.close()  # as the kernel does when the agent is gone
    await until(lambda: _state(pid) in {"Z", "-"})
    probe.cancel()


def _descriptors(pid: int) -> dict[str, str]:
    return {entry.name: str(entry.readlink()) for entry in Path(f"/proc/{pid}/fd").iterdir()}


def _state(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return "-"


async def test_a_helper_holds_nothing_of_the_agent(disk: Disk) -> None:
    """Its socket and /dev/null twice: no port, no connection, no log."""
    with open(os.devnull) as inheritable:  # noqa: ASYNC230, PTH123 - /dev/null
        os.set_inheritable(inheritable.fileno(), True)
        await disk.probe()
        (pid,) = helpers()
        held = _descriptors(pid)
    assert held.pop("0").startswith("socket:")
    assert held == {"1": os.devnull, "2": os.devnull}


async def test_standing_still_oneself_is_no_stall(disk: Disk) -> None:
    """An answer that waits to be read when this process goes on is an answer."""
    told: list[None] = []
    await disk.probe()
    with disk.stalls_told_to(lambda: told.append(None)):
        probe = spawn(disk.probe(), "probe")
        await asyncio.sleep(0)  # it is asked
        time.sleep(3.5)  # noqa: ASYNC251 - the loop has to stand still
        await probe
    assert told == []


@pytest.mark.root
@pytest.mark.skipif(os.geteuid() != 0, reason="needs root: chroot(2)")
async def test_absolute_links_lead_where_they_do_on_the_node(root: Path, disk: Disk) -> None:
    """A root that lies elsewhere is entered, so /etc/x is its own /etc/x."""
    (root / "link").symlink_to("/etc/hosts")
    assert await disk.read("/link") == b"127.0.1.1 red2\n"
