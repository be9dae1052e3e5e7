"""Real systemd: a small Debian, built once and kept in a cache, booted with systemd-nspawn.

Building takes one to two minutes, booting about a second. The tree in the cache is never
written to: each container runs on an overlay in memory. A container has a private network, and
ends with its test, whatever happened.
"""

import contextlib
import fcntl
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

SUITE = os.environ.get("PIMEDIC_SUITE", "bookworm")  # trixie works as well
SYSTEMD_RUNS = Path("/run/systemd/system").is_dir()  # here, as sd_booted(3) asks
_PACKAGES = "systemd,systemd-sysv,dbus,systemd-timesyncd,tzdata,libffi8"
_BUILD_S, _BOOT_S, _STOP_S, _STEP_S = 900, 60, 15, 30


def why_not() -> str:
    """Say why no container can be booted here, or nothing if one can."""
    if os.geteuid() != 0:
        return "needs root: boots a container"
    missing = [name for name in ("systemd-nspawn", "debootstrap") if not shutil.which(name)]
    return f"not installed: {', '.join(missing)}" if missing else ""


needs_container = [
    pytest.mark.root,
    pytest.mark.system,
    pytest.mark.skipif(bool(why_not()), reason=why_not()),
]


class Container:
    """A booted one. Paths in it are reached through its first process."""

    def __init__(self, nspawn: "subprocess.Popen[bytes]") -> None:
        self._nspawn = nspawn

    @property
    def leader(self) -> int:
        """Its PID 1, as this machine counts."""
        pid = self._nspawn.pid
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        return int(children[0])

    @property
    def root(self) -> Path:
        """Its root file system."""
        return Path(f"/proc/{self.leader}/root")

    @property
    def bus(self) -> str:
        """The address of its system bus."""
        return f"unix:path={self.root}/run/dbus/system_bus_socket"

    def run(self, *argv: str, check: bool = True) -> str:
        """Run a program in it; return its output. Fails the test when the program fails."""
        enter = ("nsenter", "--target", str(self.leader), "--all", "--")
        done = subprocess.run(
            [*enter, *argv], capture_output=True, text=True, timeout=_STEP_S, check=False
        )
        assert not check or done.returncode == 0, f"{argv}: {done.stderr or done.stdout}"
        return done.stdout + done.stderr

    def unit(self, name: str, service: str, unit: str = "") -> None:
        """Give it a service; `service` and `unit` are the lines of these sections."""
        folder = self.root / "run/systemd/system"
        folder.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(f"[Unit]\n{unit}\n[Service]\n{service}\n")
        self.run("systemctl", "daemon-reload")

    def show(self, unit: str, name: str) -> str:
        """Return one property of a unit."""
        return self.run("systemctl", "show", "--value", f"--property={name}", unit).strip()

    @contextmanager
    def hung(self) -> Iterator[None]:
        """Let its PID 1 stand still for a while, as it does when its root is stalled."""
        leader = self.leader
        os.kill(leader, signal.SIGSTOP)
        try:
            yield
        finally:
            os.kill(leader, signal.SIGCONT)


@contextmanager
def booted(log: Path, *bound: Path) -> Iterator[Container]:
    """Boot one, and take it away again. What its console says goes to `log`.

    Folders in `bound` are there too, at the same paths, read-only.
    """
    tree = _tree()
    name = f"pimedic-test-{os.getpid()}-{time.monotonic_ns() % 10**6}"
    groups = [] if SYSTEMD_RUNS else _cgroups(name)
    join = [f"echo $$ > {group}/cgroup.procs && " for group in groups]
    with log.open("wb") as console:
        nspawn = subprocess.Popen(
            [
                *("sh", "-c", "".join([*join, 'exec "$@"']), "sh"),
                *("systemd-nspawn", "--quiet", "--boot", f"--directory={tree}"),
                *("--volatile=overlay", "--private-network", f"--machine={name}"),
                *("--register=no", "--console=read-only"),
                *(f"--bind-ro={folder}" for folder in bound),
                *([] if SYSTEMD_RUNS else ["--keep-unit"]),
            ],
            stdin=subprocess.DEVNULL,
            stdout=console,
            stderr=subprocess.STDOUT,
        )
    container = Container(nspawn)
    try:
        _wait_until_up(container, log)
        yield container
    finally:
        _stop(nspawn, container)
        with contextlib.suppress(OSError):
            Path("/run/systemd/nspawn/propagate", name).rmdir()
        _remove(groups)


def _cgroups(name: str) -> list[Path]:
    """Make control groups for one container: where no systemd runs, nobody else does."""
    top = Path("/sys/fs/cgroup")
    hybrid = [path for path in (top / "unified", top / "systemd") if path.is_dir()]
    groups = [path / name for path in hybrid or [top]]
    for group in groups:
        group.mkdir()
    return groups


def _remove(groups: list[Path]) -> None:
    for group in groups:
        for folder, _, _ in os.walk(group, topdown=False):
            with contextlib.suppress(OSError):
                Path(folder).rmdir()


def _wait_until_up(container: Container, log: Path) -> None:
    until = time.monotonic() + _BOOT_S
    while time.monotonic() < until:
        with contextlib.suppress(OSError, IndexError, AssertionError):
            state = container.run("systemctl", "is-system-running", "--wait", check=False)
            if state.strip() in {"running", "degraded"}:
                return
        time.sleep(0.1)
    pytest.fail(f"the container did not come up within {_BOOT_S} s: {log.read_text()[-2000:]}")


def _stop(nspawn: "subprocess.Popen[bytes]", container: Container) -> None:
    """Ask it to shut down; then kill its PID 1, which takes everything in it along."""
    with contextlib.suppress(OSError, IndexError):
        os.kill(container.leader, signal.SIGCONT)
    nspawn.terminate()
    try:
        nspawn.wait(_STOP_S)
    except subprocess.TimeoutExpired:
        with contextlib.suppress(OSError, IndexError):
            os.kill(container.leader, signal.SIGKILL)
        with contextlib.suppress(subprocess.TimeoutExpired):
            nspawn.wait(_STOP_S)
        nspawn.kill()
        nspawn.wait(_STOP_S)


def _tree() -> Path:
    """Return the built tree, building it if this machine hasn't yet."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "pimedic"
    cache.mkdir(parents=True, exist_ok=True)
    tree = cache / f"debian-{SUITE}-systemd"
    with (cache / "building.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # two runs of the tests build one tree
        if not tree.is_dir():
            _build(tree)
    return tree


def _build(tree: Path) -> None:
    new = tree.with_name(f".{tree.name}.new")
    shutil.rmtree(new, ignore_errors=True)
    command = ["debootstrap", "--variant=minbase", f"--include={_PACKAGES}", SUITE, str(new)]
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=_BUILD_S, check=False
        )
    except subprocess.TimeoutExpired:
        pytest.skip(f"debootstrap did not end within {_BUILD_S} s")
    if done.returncode:
        pytest.skip(f"debootstrap failed: {done.stdout[-500:]}{done.stderr[-500:]}")
    (new / "etc/machine-id").write_text("uninitialized\n")
    new.rename(tree)
