"""What an idle agent costs a node, beside prometheus-node-exporter and monit, in the same run.

    python -m bench.agent_footprint [--seconds 120] [--json FILE] [--flag FLAG]...

The agent beats each second with all its detectors against a supervisor and a systemd stand-in in
a process of their own (`bench.idle_node`), and is scraped every 15 s as the exporter is. The
*floor* is a Python that has imported every third-party module that the agent has imported, and does
nothing: pydantic, for one, imports most of itself only when it is used. `rich`, which a node
doesn't have, is hidden from both. Prints a Markdown table.
"""

import argparse
import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path

from tests.integration.agent_peer import MASTER_KEY, NODE

_ROOT = Path(__file__).parents[1]
_AS_IN_THE_UNIT = {
    "MALLOC_ARENA_MAX": "2",
    "SSL_CERT_FILE": "/dev/null",
    "SSL_CERT_DIR": "/dev/null",
}
_SETTLE_S = 10.0
_SCRAPE_S = 15.0
_LIBRARIES = ("aiohttp", "dbus_fast", "prometheus_client", "pydantic", "structlog")
_AS_ON_A_NODE = "import sys; sys.modules['rich'] = None\n"
_MODULES = """
import agents.main, dbus_fast.aio
for name in list(sys.modules):
    if sys.modules[name] and name.partition(".")[0] not in {*sys.stdlib_module_names, *OURS}:
        print(name)
"""
_FLOOR = """
import contextlib, importlib, time
for name in MODULES:
    with contextlib.suppress(ImportError):  # parts of one that are no modules of their own
        importlib.import_module(name)
time.sleep(1e9)
"""
_AGENT = "from agents.main import main; sys.exit(main())"
_MONITRC = """\
set daemon 5
set log {folder}/monit.log
set pidfile {folder}/monit.pid
set idfile {folder}/monit.id
set statefile {folder}/monit.state
check system node
    if memory usage > 95% then alert
    if cpu usage (wait) > 80% then alert
check filesystem root with path /
    if space usage > 95% then alert
check process init with pidfile {folder}/init.pid
"""


@dataclass(frozen=True)
class Footprint:
    """One process and its children. Memory is in MB of 2**20 bytes, CPU in percent of a core."""

    name: str
    version: str
    pss: float
    rss: float
    private: float
    threads: int
    cpu: float


@dataclass(frozen=True)
class _Started:
    name: str
    version: str
    pid: int


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=120.0, help="window of the CPU figure")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there too")
    parser.add_argument("--flag", action="append", default=[], help="one more for the agent")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, contextlib.ExitStack() as stack:
        found = _measured(Path(folder), stack, given.seconds, given.flag)
    print(_table(found, given.seconds))
    if given.json:
        figures = [asdict(one) for one in found]
        given.json.write_text(
            json.dumps({"seconds": given.seconds, "processes": figures}, indent=2)
        )


def _measured(
    folder: Path, stack: contextlib.ExitStack, seconds: float, flags: list[str]
) -> list[Footprint]:
    agent_port, exporter_port = _free_port(), _free_port()
    started = [
        _agent(folder, stack, agent_port, flags),
        _floor(stack),
        *_node_exporter(stack, exporter_port),
        *_monit(folder, stack),
    ]
    scraped = [agent_port] + [exporter_port] * any("exporter" in one.name for one in started)
    _scraping(scraped, _SETTLE_S)
    begun, before = time.monotonic(), {one.pid: _cpu_s(one.pid) for one in started}
    _scraping(scraped, seconds)
    took_s = time.monotonic() - begun
    return [_footprint(one, 100 * (_cpu_s(one.pid) - before[one.pid]) / took_s) for one in started]


def _agent(folder: Path, stack: contextlib.ExitStack, port: int, flags: list[str]) -> _Started:
    bus = folder / "bus"
    listen = f"--address=unix:path={bus}"
    _start(stack, ["dbus-daemon", "--session", "--nofork", "--nopidfile", listen])
    _until(bus.is_socket, "the bus")
    node = _start(stack, [sys.executable, "-m", "bench.idle_node", str(bus)], subprocess.PIPE)
    url = node.stdout.readline().decode().strip() if node.stdout else ""
    key = folder / "node.key"
    key.touch(mode=0o600)
    key.write_text(MASTER_KEY.hex())
    argv = [
        *("--node", NODE, "--role", "worker", "--supervisor", url, "--key-file", str(key)),
        *("--listen", f"127.0.0.1:{port}", "--path.run", str(folder / "run")),
        *("--bus", f"unix:path={bus}", "--units", "ssh,k3s-agent"),
        *("--boot-history", str(folder / "boots"), "--timezone", "Etc/UTC", *flags),
    ]
    agent = _start(stack, [sys.executable, "-c", _AS_ON_A_NODE + _AGENT, *argv])
    _until(lambda: _answers(port), "the agent")
    return _Started("pimedic-agent", version("pimedic"), agent.pid)


def _floor(stack: contextlib.ExitStack) -> _Started:
    versions = ", ".join(f"{name} {version(name)}" for name in _LIBRARIES)
    ours = "OURS = {'agents', 'common', '__main__'}\n"
    asked = [sys.executable, "-c", _AS_ON_A_NODE + ours + _MODULES]
    named = subprocess.run(asked, capture_output=True, text=True, check=True, cwd=_ROOT)
    modules = f"MODULES = {named.stdout.split()!r}\n"
    process = _start(stack, [sys.executable, "-c", modules + _AS_ON_A_NODE + _FLOOR])
    python = ".".join(map(str, sys.version_info[:3]))
    return _Started("floor: its libraries alone", f"Python {python}, {versions}", process.pid)


def _node_exporter(stack: contextlib.ExitStack, port: int) -> Iterator[_Started]:
    program = "prometheus-node-exporter"
    if not _there(program):
        return
    process = _start(stack, [program, f"--web.listen-address=127.0.0.1:{port}"])
    _until(lambda: _answers(port), program)
    yield _Started(program, _version_of(program, "--version"), process.pid)


def _monit(folder: Path, stack: contextlib.ExitStack) -> Iterator[_Started]:
    if not _there("monit"):
        return
    (folder / "init.pid").write_text("1\n")
    config = folder / "monitrc"
    config.touch(mode=0o600)
    config.write_text(_MONITRC.format(folder=folder))
    process = _start(stack, ["monit", "-I", "-c", str(config)])
    yield _Started("monit, every 5 s", _version_of("monit", "-V"), process.pid)


def _there(program: str) -> bool:
    if shutil.which(program):
        return True
    print(f"{program} is missing (a Debian package): left out", file=sys.stderr)
    return False


def _version_of(program: str, flag: str) -> str:
    done = subprocess.run([program, flag], capture_output=True, text=True, check=False)
    words = (done.stdout or done.stderr).split()
    return next((word for word in words if word[:1].isdigit()), "unknown")


def _start(
    stack: contextlib.ExitStack, argv: list[str], stdout: int = subprocess.DEVNULL
) -> "subprocess.Popen[bytes]":
    environment = {**os.environ, **_AS_IN_THE_UNIT}
    process = subprocess.Popen(
        argv, stdout=stdout, stderr=subprocess.DEVNULL, cwd=_ROOT, env=environment
    )
    stack.callback(_end, process)
    return process


def _end(process: "subprocess.Popen[bytes]") -> None:
    process.send_signal(signal.SIGTERM)
    try:
        process.wait(5)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _scraping(ports: list[int], seconds: float) -> None:
    """Let `seconds` pass, with a scrape of each port every 15 s."""
    until = time.monotonic() + seconds
    while (left_s := until - time.monotonic()) > 0:
        for port in ports:
            _scrape(port)
        time.sleep(min(_SCRAPE_S, left_s))


def _scrape(port: int) -> None:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10) as response:
        response.read()


def _answers(port: int) -> bool:
    try:
        _scrape(port)
    except OSError:
        return False
    return True


def _until(true: Callable[[], object], what: str, within_s: float = 20.0) -> None:
    until = time.monotonic() + within_s
    while not true():
        if time.monotonic() > until:
            sys.exit(f"{what} did not come up within {within_s:g} s")
        time.sleep(0.05)


def _family(pid: int) -> list[int]:
    """Return a process and its children, such as the agent's disk helper."""
    return [pid, *map(int, Path(f"/proc/{pid}/task/{pid}/children").read_text().split())]


def _cpu_s(pid: int) -> float:
    """Return user and system time of a family with its ended threads, to the nanosecond.

    See CPUCLOCK_SCHED in the kernel's posix-timers: /proc/PID/stat counts in ticks of 10 ms.
    """
    return sum(time.clock_gettime(~one << 3 | 2) for one in _family(pid))


def _figures(pid: int, file: str) -> Counter[str]:
    """Sum the `Name: number` lines of a file of /proc over a family."""
    sums: Counter[str] = Counter()
    for one in _family(pid):
        rows = (row.split() for row in Path(f"/proc/{one}/{file}").read_text().splitlines())
        for name, figure, *_ in (row for row in rows if len(row) > 1 and row[1].isdecimal()):
            sums[name.removesuffix(":")] += int(figure)
    return sums


def _footprint(process: _Started, cpu: float) -> Footprint:
    kib = _figures(process.pid, "smaps_rollup")
    threads = _figures(process.pid, "status")["Threads"]
    private = kib["Private_Clean"] + kib["Private_Dirty"]
    return Footprint(
        process.name,
        process.version,
        *(round(figure / 1024, 1) for figure in (kib["Pss"], kib["Rss"], private)),
        threads,
        round(cpu, 3),
    )


def _table(found: list[Footprint], seconds: float) -> str:
    agent = found[0]
    columns = ("PSS MB", "RSS MB", "private MB", "threads", "CPU % of a core")
    head = (f"over {seconds:g} s", *columns, "agent's PSS to its", "version")
    lines = [f"| {' | '.join(head)} |", "| --- " * len(head) + "|"]
    lines += [
        f"| {one.name} | {one.pss} | {one.rss} | {one.private} | {one.threads} | {one.cpu:.3f} |"
        f" {agent.pss / one.pss:.2f} | {one.version} |"
        for one in found
    ]
    return "\n".join(lines)


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return int(probe.getsockname()[1])


if __name__ == "__main__":
    main()
