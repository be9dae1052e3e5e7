"""`kernel_reports`: what the kernel complains of, in its own words."""

import asyncio
import os
import select
from pathlib import Path

import pytest

from agents.detector import DetectorError
from agents.detectors.kernel_log import FOR_S, PATTERNS, Complaints, KernelLog
from agents.kernel_messages import KernelMessages
from common.observations import Truth

NFS = "nfs: server 192.168.2.1 not responding, still trying"
NFS_OK = "nfs: server 192.168.2.1 OK"
SAID = {
    NFS: "nfs",
    "nfs: server 192.168.2.1 not responding, timed out": "nfs",
    "INFO: task systemd:1 blocked for more than 120 seconds.": "hung_task",
    "INFO: task jbd2/sda2-8:211 blocked in I/O wait for more than 120 seconds.": "hung_task",
    "EXT4-fs error (device sda2): ext4_find_entry:1664: inode #2: comm ls: reading": "ext4",
    "EXT4-fs (sda2): Remounting filesystem read-only": "ext4",
    "Aborting journal on device sda2-8.": "ext4",
    "I/O error, dev sda, sector 2048 op 0x0:(READ) flags 0x80700 phys_seg 1": "io_error",
    "blk_update_request: I/O error, dev sda, sector 2048": "io_error",
    "Buffer I/O error on dev sda2, logical block 0, lost sync page write": "io_error",
    "sd 0:0:0:0: rejecting I/O to offline device": "io_error",
    "Out of memory: Killed process 812 (python3) total-vm:1024kB": "oom",
    "Memory cgroup out of memory: Killed process 812 (k3s-server)": "oom",
    "hwmon hwmon1: Undervoltage detected!": "undervoltage",
    "Under-voltage detected! (0x00050005)": "undervoltage",
    "bcmgenet fd580000.ethernet eth0: Link is Down": "link_down",
    "rcu: INFO: rcu_preempt self-detected stall on CPU": "stall",
    "watchdog: BUG: soft lockup - CPU#2 stuck for 26s! [kworker/2:1:44]": "stall",
    "Internal error: Oops: 0000000096000004 [#1] PREEMPT SMP": "crash",
}


@pytest.mark.parametrize(("text", "subject"), SAID.items())
def test_complaints(text: str, subject: str) -> None:
    """Each of the kernel's complaints has its subject, and is told in the kernel's words."""
    complaints = Complaints()
    assert complaints.hear(text, 0.0)
    (seen,) = complaints.standing(1.0)
    assert (seen.kind, seen.status, seen.subject) == ("kernel_reports", Truth.TRUE, subject)
    assert seen.detail == text


def test_every_pattern_has_an_example() -> None:
    """No row of the table is without a message that it was written for."""
    assert {pattern.subject for pattern in PATTERNS} == set(SAID.values())


@pytest.mark.parametrize(
    "text",
    [
        "EXT4-fs (sda2): mounted filesystem with ordered data mode. Quota mode: none.",
        "usb 2-1: new SuperSpeed USB device number 2 using xhci_hcd",
        "IPv6: ADDRCONF(NETDEV_CHANGE): eth0: link becomes ready",
        "cni0: port 1(veth1) entered disabled state",
        "",
    ],
)
def test_everyday_messages_are_no_complaints(text: str) -> None:
    """Most of what a kernel says is no news."""
    complaints = Complaints()
    assert not complaints.hear(text, 0.0)
    (seen,) = complaints.standing(0.0)
    assert (seen.status, seen.subject) == (Truth.FALSE, "")


@pytest.mark.parametrize(
    ("complaint", "taken_back"),
    [
        (NFS, NFS_OK),
        ("hwmon hwmon1: Undervoltage detected!", "hwmon hwmon1: Voltage normalised"),
        ("bcmgenet eth0: Link is Down", "bcmgenet eth0: Link is Up - 1Gbps/Full - flow off"),
    ],
)
def test_the_kernel_takes_some_back(complaint: str, taken_back: str) -> None:
    """Its counter-message ends a complaint at once, and only that one."""
    complaints = Complaints()
    complaints.hear("Out of memory: Killed process 1 (x)", 0.0)
    complaints.hear(complaint, 0.0)
    assert complaints.hear(taken_back, 1.0)
    assert [seen.subject for seen in complaints.standing(1.0)] == ["oom"]
    assert not complaints.hear(taken_back, 2.0)


def test_complaints_grow_old() -> None:
    """One that isn't repeated stands for its while, counted from the last time."""
    complaints = Complaints()
    complaints.hear(NFS, 0.0)
    assert not complaints.hear(NFS, 100.0)
    (seen,) = complaints.standing(99.0 + FOR_S)
    assert (seen.value, seen.detail) == (2, f"{NFS} (2 times)")
    (seen,) = complaints.standing(101.0 + FOR_S)
    assert seen.status is Truth.FALSE


async def test_a_message_is_told_at_once(tmp_path: Path) -> None:
    """What is written to the log rings the bell; what programs write there doesn't count."""
    fifo = tmp_path / "kmsg"
    os.mkfifo(fifo)
    writer = os.open(fifo, os.O_RDWR)
    detector, rung = KernelLog(KernelMessages(fifo)), asyncio.Event()
    task = asyncio.get_running_loop().create_task(detector.watch(rung.set))
    try:
        async with asyncio.timeout(5):
            await rung.wait()  # it listens
            rung.clear()
            os.write(writer, f"12,7,1,-;{NFS}\n".encode())  # facility user
            while select.select([writer], [], [], 0)[0]:  # noqa: ASYNC110 - a pipe has no event
                await asyncio.sleep(0.001)  # else both would be read as one
            os.write(writer, f"4,8,2,-;{NFS}\n SUBSYSTEM=x\n".encode())
            await rung.wait()
        (seen,) = await detector.observe()
        assert (seen.subject, seen.value) == ("nfs", 1)
    finally:
        task.cancel()
        await asyncio.wait([task], timeout=5)
        os.close(writer)


async def test_no_device_is_no_data(tmp_path: Path) -> None:
    """A container without a kernel log has nothing to say about it."""
    detector, rung = KernelLog(KernelMessages(tmp_path / "absent")), asyncio.Event()
    task = asyncio.get_running_loop().create_task(detector.watch(rung.set))
    async with asyncio.timeout(5):
        await rung.wait()
    assert await detector.observe() == []
    task.cancel()
    await asyncio.wait([task], timeout=5)


async def test_a_log_that_cant_be_read_is_a_failure(tmp_path: Path) -> None:
    """Being refused is not the same as hearing nothing."""
    (tmp_path / "file").touch()
    detector = KernelLog(KernelMessages(tmp_path / "file/kmsg"))
    with pytest.raises(OSError, match="Not a directory"):
        await detector.watch(lambda: None)
    with pytest.raises(DetectorError, match="Not a directory"):
        await detector.observe()
