"""A real agent in this process, against real sockets, in trees of its own."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp

from agents.app import App
from agents.settings import Settings
from common.tasks import spawn
from tests.integration.agent_peer import MASTER_KEY, NODE

BOOT_ID = "0d6b6d8e-7a51-4a3c-9d0c-5b6a5c0f2a11"

# A manager of units as a program: states are files, restarts get a new invocation id.
_SYSTEMCTL = """\
folder=$1; verb=$2; shift 2
echo "$verb $*" >> "$folder/calls"
for last; do :; done
case $verb in
show) while [ "$1" != "--" ]; do shift; done; shift
      for unit; do cat "$folder/$unit"; echo; done ;;
restart) [ ! -e "$folder/slow" ] || sleep 60
      [ ! -e "$folder/broken" ] || { echo "Job for $last failed." >&2; exit 1; }
      id=$(cat /proc/sys/kernel/random/uuid)
      printf 'Id=%s\\nLoadState=loaded\\nActiveState=active\\nSubState=running\\n' "$last" \
        > "$folder/$last"
      printf 'Result=success\\nInvocationID=%s\\n' "$id" >> "$folder/$last" ;;
esac
"""


class Node:
    """The trees an agent looks at: proc, root, run, and its units."""

    def __init__(self, folder: Path) -> None:
        self.procfs, self.rootfs = folder / "proc", folder / "root"
        self.run, self.units = folder / "run", folder / "units"
        for path in ("proc/self", "proc/sys/kernel/random", "root/etc", "units"):
            (folder / path).mkdir(parents=True)
        (self.procfs / "sys/kernel/random/boot_id").write_text(f"{BOOT_ID}\n")
        (self.procfs / "sys/kernel/hostname").write_text(f"{NODE}\n")
        (self.rootfs / "etc/hostname").write_text(f"{NODE}\n")
        (self.rootfs / "etc/hosts").write_text(f"127.0.1.1 {NODE}\n")
        self.remount("rw")
        self.unit("ssh.service", "active")
        self._systemctl = folder / "systemctl"
        self._systemctl.write_text(_SYSTEMCTL)

    def remount(self, super_options: str) -> None:
        """Change the root's superblock options."""
        table = f"27 1 8:2 / / rw,relatime - ext4 /dev/sda2 {super_options}\n"
        (self.procfs / "self/mountinfo").write_text(table)

    def unit(self, name: str, active: str) -> None:
        """Set a unit's state."""
        (self.units / name).write_text(
            f"Id={name}\nLoadState=loaded\nActiveState={active}\nSubState=x\nInvocationID=old\n"
        )

    def restarts(self) -> int:
        """How often systemctl was asked to restart anything."""
        calls = self.units / "calls"
        lines = calls.read_text().splitlines() if calls.exists() else []
        return sum(line.startswith("restart ") for line in lines)

    @property
    def systemctl(self) -> tuple[str, ...]:
        """How to call this node's systemctl."""
        return ("sh", str(self._systemctl), str(self.units))

    def settings(self, *supervisors: str, **changes: Any) -> Settings:
        """Settings of an agent of this node, on a free port."""
        values: dict[str, Any] = {
            "node": NODE,
            "supervisors": supervisors,
            "listen_host": "127.0.0.1",
            "listen_port": 0,
            "interval_s": 0.05,
            "procfs": self.procfs,
            "sysfs": self.procfs.parent / "sys",
            "rootfs": self.rootfs,
            "kmsg": self.procfs.parent / "kmsg",
            "run": self.run,
            "systemctl": self.systemctl,
            "units": ("ssh.service",),
            "without": frozenset({"clock_sync"}),
        }
        return Settings(**(values | changes))


@asynccontextmanager
async def at_work(
    settings: Settings, detectors: Any = None, key: bytes = MASTER_KEY
) -> AsyncIterator[App]:
    """Run an agent; stopping it must take no longer than a few seconds."""
    app = App(settings, key, detectors)
    task = spawn(app.run(), "agent under test")
    try:
        async with asyncio.timeout(5):
            await app.started.wait()
        yield app
    finally:
        app.stop()
        done, _ = await asyncio.wait([task], timeout=5)
        assert done, "the agent did not stop"
        task.result()


async def get(app: App, path: str) -> tuple[int, str, str]:
    """Fetch a page of the agent: status, content type, text."""
    async with (
        aiohttp.ClientSession() as http,
        http.get(f"http://127.0.0.1:{app.port}{path}") as response,
    ):
        return response.status, response.headers["Content-Type"], await response.text()
