"""`nfs_stalled`: an NFS mount doesn't answer, and whether its server does.

Two witnesses, neither of which touches the mount: the NULL call (`agents.nfs_server`) asks the
server from here, and the kernel's counters (`agents.mount_stats`) tell what the mount itself
gets. Together:

    the server       the mount's requests       verdict
    answers          are answered, or none is   false
    answers          wait, none is answered     true: it lives, our mount waits (a blocked export,
                                                a dead disk there, a connection of ours gone bad)
    doesn't answer   are answered               false: the mount's word counts
    doesn't answer   wait, or there are none    true
    isn't asked      as the requests say, else unknown (not over TCP, or too early)

A request waits when it was sent and nothing at all came back for `WAITS_S`; the server doesn't
answer when a question has been out for `SILENT_AFTER_S`. Mounts of one server share its
connection, so one blocked export beside busy ones doesn't show in the counters.

Without mountstats there is no NFS client here: no data, as without NFS mounts. Stale handles
(ESTALE) are not told: the counters hold errors of any kind in one sum, and asking the mount
could hang.
"""

import asyncio
import ipaddress
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from agents.mount_stats import FILE, NFS, Counters, parse_mountstats
from agents.mount_table import Mount, MountTable, parse_mountinfo
from agents.nfs_server import SILENT_AFTER_S, Asking, Server
from agents.rpc_null import NFS_PORT
from agents.threads import in_thread
from common.clock import boottime
from common.observations import Truth
from common.wire import WireObservation

KIND = "nfs_stalled"
WAITS_S = 4.0
_PERIOD_S, _IDLE_PERIOD_S = 2.0, 10.0  # with NFS mounts, and without
_MOVED_WITHIN_S = 3.0
_MOST_MOUNTS = 16  # so as many servers at most


class Said(StrEnum):
    """What the server said to the NULL call."""

    ANSWERS = "answers"
    SILENT = "silent"
    UNASKED = "unasked"


class Requests(StrEnum):
    """What became of the mount's own requests."""

    ANSWERED = "answered"
    WAITING = "waiting"
    NONE = "none"


VERDICTS: Mapping[tuple[Said, Requests], Truth] = {
    (Said.ANSWERS, Requests.ANSWERED): Truth.FALSE,
    (Said.ANSWERS, Requests.NONE): Truth.FALSE,
    (Said.ANSWERS, Requests.WAITING): Truth.TRUE,
    (Said.SILENT, Requests.ANSWERED): Truth.FALSE,
    (Said.SILENT, Requests.NONE): Truth.TRUE,
    (Said.SILENT, Requests.WAITING): Truth.TRUE,
    (Said.UNASKED, Requests.ANSWERED): Truth.FALSE,
    (Said.UNASKED, Requests.NONE): Truth.UNKNOWN,
    (Said.UNASKED, Requests.WAITING): Truth.TRUE,
}


@dataclass(frozen=True, slots=True)
class NfsMount:
    """An NFS mount: where, and by its options whose and how."""

    point: str
    address: str
    manner: str  # for people: hard or soft, version, protocol
    server: Server | None  # None: not to be asked over TCP


class NfsStall:
    """Watches every NFS mount there is."""

    name = "nfs_stall"
    kinds = (KIND,)
    period_s = _PERIOD_S
    deadline_s = 2.0

    def __init__(self, procfs: Path, bind: str = "") -> None:
        self._table = MountTable(procfs)
        self._stats = MountTable(procfs, FILE)
        self._bind = bind
        self._histories: dict[str, History] = {}
        self._asking: dict[Server, Asking] = {}
        self._servers: frozenset[Server] = frozenset()
        self._servers_changed = asyncio.Event()

    async def observe(self) -> list[WireObservation]:
        """Read both tables in a thread; judge what they and the servers say."""
        mounts, counters = await in_thread(self._read, "read NFS counters")
        now = boottime()
        self.period_s = _PERIOD_S if mounts else _IDLE_PERIOD_S
        servers = frozenset(mount.server for mount in mounts if mount.server)
        if servers != self._servers:
            self._servers = servers
            self._servers_changed.set()
        self._histories = {
            mount.point: self._histories.get(mount.point) or History() for mount in mounts
        }
        return [self._judged(mount, counters.get(mount.point), now) for mount in mounts]

    async def watch(self, look_now: Callable[[], None]) -> None:
        """Keep asking the servers of the mounts that the last look found."""
        try:
            async with asyncio.TaskGroup() as group:
                tasks: dict[Server, asyncio.Task[None]] = {}
                while True:
                    self._servers_changed.clear()
                    for gone in tasks.keys() - self._servers:
                        tasks.pop(gone).cancel()
                        del self._asking[gone]
                    for new in self._servers - tasks.keys():
                        asking = self._asking[new] = Asking(new, self._bind, look_now)
                        tasks[new] = group.create_task(asking.run(), name=f"ask {new.address}")
                    await self._servers_changed.wait()
        finally:
            self._asking.clear()

    def _read(self) -> tuple[list[NfsMount], dict[str, Counters]]:
        mounts = nfs_mounts(parse_mountinfo(self._table.read()))
        if not mounts:
            return [], {}
        try:
            return mounts, parse_mountstats(self._stats.read())
        except FileNotFoundError:
            return [], {}

    def _judged(self, mount: NfsMount, counters: Counters | None, now: float) -> WireObservation:
        history = self._histories[mount.point]
        if counters:
            history.add(counters, now)
        asking = self._asking.get(mount.server) if mount.server else None
        said = _said(asking, now)
        status = VERDICTS[said, history.requests(now)]
        unanswered_s = asking.unanswered_s(now) if asking and said is Said.SILENT else 0.0
        lasts_s = max(unanswered_s, history.waiting_s(now)) if status is Truth.TRUE else 0.0
        words = {
            Said.ANSWERS: f"{mount.address} answers",
            Said.SILENT: f"{mount.address} hasn't answered for {unanswered_s:.0f} s"
            f" ({asking.why if asking else ''})",
            Said.UNASKED: f"{mount.address} not asked",
        }
        detail = "; ".join([words[said], *history.in_words(now), mount.manner])
        return WireObservation(
            kind=KIND,
            status=status,
            subject=mount.point[:400],
            detail=detail[:400],
            value=round(lasts_s, 1),
        )


class History:
    """What one mount's counters did from look to look. Instants are given."""

    def __init__(self) -> None:
        self._last: tuple[float, Counters] | None = None
        self._lost = 0  # of `unanswered`, what nobody waits for any more
        self._answered_at = float("-inf")
        self._waits_since: float | None = None
        self._change = Counters()
        self._change_s = 0.0

    def add(self, counters: Counters, now: float) -> None:
        """Compare with the look before."""
        before_at, before = self._last or (now, counters)
        self._last = now, counters
        if counters.replies < before.replies or counters.done < before.done:
            before = counters  # mounted anew
        self._change, self._change_s = _difference(counters, before), now - before_at
        waiting = counters.unanswered
        if before is counters:
            self._lost, self._waits_since = waiting, None
        elif counters.replies > before.replies or counters.done > before.done:
            # What is in flight at this instant counts as lost; the next request corrects it.
            self._lost, self._waits_since, self._answered_at = waiting, None, now
        else:
            self._lost = min(self._lost, waiting)
            waits = waiting > self._lost
            self._waits_since = (self._waits_since or now) if waits else None

    def requests(self, now: float) -> Requests:
        """Judge the last looks."""
        if self.waiting_s(now) >= WAITS_S:
            return Requests.WAITING
        if now - self._answered_at <= _MOVED_WITHIN_S:
            return Requests.ANSWERED
        return Requests.NONE

    def waiting_s(self, now: float) -> float:
        """Return for how long requests have been seen waiting without any answer."""
        return 0.0 if self._waits_since is None else now - self._waits_since

    def in_words(self, now: float) -> list[str]:
        """Tell of the time since the look before; nothing before there are two."""
        if not self._last or not self._change_s:
            return []
        change, said = self._change, []
        if self._waits_since is not None:
            count = self._last[1].unanswered - self._lost
            said.append(f"{count} sent and not answered for {self.waiting_s(now):.0f} s")
        elif change.done:
            mean_ms = 1000 * change.execute_s / change.done
            trip_ms = 1000 * change.round_trip_s / change.done
            rate = change.done / self._change_s
            said.append(f"{rate:.1f} requests/s, {mean_ms:.1f} ms each, {trip_ms:.1f} on the way")
        if change.sent_again or change.timeouts:
            said.append(f"{change.sent_again} sent again, {change.timeouts} timed out")
        return said


def nfs_mounts(mounts: list[Mount]) -> list[NfsMount]:
    """Return each NFS file system once, by its first mount point: binds add nothing."""
    on_top = {mount.point: mount for mount in mounts}.values()  # a later mount hides others
    first: dict[str, Mount] = {}
    for mount in on_top:
        if mount.filesystem in NFS:
            first.setdefault(mount.device, mount)
    return [_nfs_mount(mount) for mount in first.values()][:_MOST_MOUNTS]


def _nfs_mount(mount: Mount) -> NfsMount:
    options = dict(option.partition("=")[::2] for option in mount.super_options)
    address, version = options.get("addr", ""), options.get("vers", "3")
    protocol = options.get("proto", "")
    asked = _is_literal(address) and protocol in {"tcp", "tcp6"}
    patience = next((word for word in ("hard", "soft", "softerr") if word in options), "")
    return NfsMount(
        point=mount.point,
        address=address or mount.source.partition(":")[0],
        manner=" ".join(word for word in (patience, f"vers={version}", protocol) if word),
        server=Server(address, _port(options.get("port", "")), _version(version))
        if asked
        else None,
    )


def _is_literal(address: str) -> bool:
    """Tell whether connecting needs no resolver, which would read files."""
    try:
        ipaddress.ip_address(address)
    except ValueError:
        return False
    return "%" not in address


def _port(text: str) -> int:
    """Read port=; the kernel may write 0 for the usual one."""
    return int(text) if text.isdecimal() and int(text) else NFS_PORT


def _version(text: str) -> int:
    """Read vers=: 3, 4 or 4.2."""
    major = text.partition(".")[0]
    return int(major) if major.isdecimal() else 3


def _said(asking: Asking | None, now: float) -> Said:
    if asking is None:
        return Said.UNASKED
    if asking.unanswered_s(now) >= SILENT_AFTER_S:
        return Said.SILENT
    return Said.ANSWERS if asking.answered else Said.UNASKED


def _difference(now: Counters, before: Counters) -> Counters:
    return Counters(
        now.sends - before.sends,
        now.replies - before.replies,
        now.done - before.done,
        max(0, now.sent_again - before.sent_again),
        max(0, now.timeouts - before.timeouts),
        now.round_trip_s - before.round_trip_s,
        now.execute_s - before.execute_s,
    )
