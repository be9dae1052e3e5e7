"""A virtual Pi's proc, sys and root trees: what its agent reads instead of this machine's.

Only what a detector looks at is there. A boot writes everything afresh and healthy, with a new
boot id; faults change single files in place.
"""

import shutil
import uuid
from dataclasses import dataclass
from pathlib import Path

from common.clock import boottime
from common.topology import Node, Role, Service
from lab.systemctl import AGENT_UNIT, SSH_UNIT, UnitTable

NFS_UNIT = "nfs-server.service"
UNITS: dict[Role, tuple[str, ...]] = {
    Role.LOGIN: ("nfs-server.service", "isc-dhcp-server.service", "tftpd-hpa.service"),
    Role.BACKUP: (),
    Role.MASTER: ("k3s.service", "prometheus.service", "grafana-server.service"),
    Role.WORKER: ("k3s-agent.service",),
}
_EVERYWHERE = (SSH_UNIT, "systemd-timesyncd.service", AGENT_UNIT)

# mountinfo(5): id parent major:minor root point options - type source superblock-options
_MOUNTINFO = """\
{root}
23 22 0:22 / /proc rw,nosuid,nodev,noexec,relatime shared:12 - proc proc rw
24 22 0:23 / /sys rw,nosuid,nodev,noexec,relatime shared:2 - sysfs sysfs rw
25 22 0:24 / /run rw,nosuid,nodev shared:5 - tmpfs tmpfs rw,size=388196k,mode=755
26 22 7:0 / /snap/core22/1802 ro,nodev,relatime shared:60 - squashfs /dev/loop0 ro,errors=continue
"""
_DISK = "22 1 8:2 / / {mount},relatime shared:1 - ext4 /dev/sda2 {superblock}"
_NFS = (
    "22 1 0:21 / / {mount},relatime shared:1 - nfs {server}:/nfs/{name} {superblock},vers=3,"
    "rsize=131072,wsize=131072,namlen=255,hard,nolock,proto=tcp,timeo=600,retrans=2,sec=sys,"
    "mountaddr={server},mountvers=3,mountproto=tcp,local_lock=all,addr={server}"
)


@dataclass(frozen=True, slots=True)
class Tree:
    """The trees of `node`, under `directory`; `server` is the address its root comes from."""

    node: Node
    directory: Path
    server: str = ""

    @property
    def proc(self) -> Path:
        """Stands for /proc."""
        return self.directory / "proc"

    @property
    def sys(self) -> Path:
        """Stands for /sys."""
        return self.directory / "sys"

    @property
    def root(self) -> Path:
        """Stands for /."""
        return self.directory / "root"

    @property
    def run(self) -> Path:
        """Stands for /run."""
        return self.directory / "run"

    @property
    def probed(self) -> Path:
        """The file by which agents see whether the root answers."""
        return self.root / "etc/hostname"

    @property
    def units(self) -> UnitTable:
        """The services of this Pi."""
        return UnitTable(self.directory)

    @property
    def boot_id(self) -> str:
        """The id of the present boot."""
        return (self.proc / "sys/kernel/random/boot_id").read_text(encoding="ascii").strip()

    def boot(self) -> None:
        """Write everything as a fresh boot finds it."""
        up, now = self.node.name.replace("_", "-"), boottime()
        _write(self.proc / "sys/kernel/random/boot_id", f"{uuid.uuid4()}\n")
        _write(self.proc / "sys/kernel/hostname", f"{up}\n")
        _write(self.proc / "uptime", f"{now:.2f} {now:.2f}\n")
        _write(self.proc / "cmdline", self._cmdline())
        _write(self.sys / "class/thermal/thermal_zone0/temp", "48312\n")
        _write(self.sys / "class/thermal/thermal_zone0/type", "cpu-thermal\n")
        _write(self.sys / "devices/platform/soc/soc:firmware/get_throttled", "0\n")
        _write(self.probed, f"{up}\n")
        shutil.rmtree(self.run, ignore_errors=True)  # a tmpfs: gone with the last boot
        self.run.mkdir(parents=True)
        self.mount_root(read_only=False)
        self.add_hosts_line()
        _write(self.root / "boot/vmlinuz", "")
        self.close_kernel_image(closed=False)
        self.units.boot((*UNITS[self.node.role], *_EVERYWHERE))

    def serves_disks(self) -> bool:
        """Tell whether the others get their roots from it, as far as its own services go."""
        return NFS_UNIT not in UNITS[self.node.role] or NFS_UNIT not in self.units.failed()

    def _cmdline(self) -> str:
        if not self.server:
            return "console=tty1 root=/dev/sda2 rootfstype=ext4 rootwait\n"
        return f"console=tty1 root=/dev/nfs nfsroot={self.server}:/nfs/{self.node.name} ip=dhcp\n"

    def mount_root(self, *, read_only: bool) -> None:
        """Mount / anew, or as it looks after a filesystem error.

        On a disk the error leaves the mount `rw` and shows in the superblock alone, so that
        the naive check sees nothing; an NFS root turns `ro` in both places.
        """
        if self.server:
            state = "ro" if read_only else "rw"
            root = _NFS.format(
                server=self.server, name=self.node.name, mount=state, superblock=state
            )
        else:
            root = _DISK.format(
                mount="rw",
                superblock="rw,emergency_ro,errors=remount-ro" if read_only else "rw",
            )
        _write(self.proc / "self/mountinfo", _MOUNTINFO.format(root=root))

    def is_read_only(self) -> bool:
        """Tell whether / can't be written."""
        root = (self.proc / "self/mountinfo").read_text(encoding="ascii").splitlines()[0]
        return "ro" in root.split()[5].split(",") or "emergency_ro" in root

    def add_hosts_line(self) -> None:
        """Let the node's own name resolve."""
        name = (self.proc / "sys/kernel/hostname").read_text(encoding="ascii").strip()
        _write(self.root / "etc/hosts", f"127.0.0.1 localhost\n127.0.1.1 {name}\n")

    def drop_hosts_line(self) -> None:
        """Let the node's own name resolve no more."""
        _write(self.root / "etc/hosts", "127.0.0.1 localhost\n")

    def close_kernel_image(self, *, closed: bool) -> None:
        """Let others not read the kernel image, as after an update; or let them again."""
        (self.root / "boot/vmlinuz").chmod(0o600 if closed else 0o644)

    def kernel_image_is_closed(self) -> bool:
        """Tell whether others can't read the kernel image."""
        image = self.root / "boot/vmlinuz"
        return image.exists() and not image.stat().st_mode & 0o004

    def has_hosts_line(self) -> bool:
        """Tell whether the node's own name resolves."""
        return "127.0.1.1" in (self.root / "etc/hosts").read_text(encoding="ascii")


def netboot_server(node: Node, ips: dict[str, str]) -> str:
    """Return the address that `node` gets its root from; empty when it has a disk."""
    provider = node.depends_on.get(Service.NETBOOT)
    return ips[provider] if provider else ""


def _write(path: Path, text: str) -> None:
    """Replace a file's content at once: an agent may be reading it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    new = path.with_name(f".{path.name}.lab")
    new.write_text(text, encoding="utf-8")
    new.replace(path)
