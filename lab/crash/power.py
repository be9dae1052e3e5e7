"""A power cycle, cut short at every instant from its first line to its last.

A dry run lists the instants. For each one a child runs the same cycle on the same switch and
kills itself there with SIGKILL; another child then opens the journal and reconciles; and the
judge looks at the switch's log, its ports and the journal.
"""

import argparse
import asyncio
import json
import os
import shutil
import signal
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path

from common import clock
from lab.crash import children, two_steps
from lab.crash.instants import Instant, Place, Tracer
from lab.crash.rack import Rack, Report
from lab.switch.ports import Latencies
from supervisor.actuators import power
from supervisor.actuators.power.driver import CycleResult
from supervisor.actuators.power.orders import Outlet, PowerOutcome, PowerRequest, Verdict
from supervisor.actuators.power.service import PowerService
from supervisor.actuators.power.settings import PowerSettings
from supervisor.actuators.power.swctrl import SwctrlDriver, SwctrlSettings
from supervisor.journal.journal import FILE_NAME, Journal
from supervisor.journal.timeline import Event

PORT, BYSTANDER = 2, 3
SECOND_S = 0.2  # how long a second of the lab lasts
OUTLETS = {
    "yellow1": Outlet(PORT, "dc:a6:32:00:00:02"),
    "green1": Outlet(BYSTANDER, "dc:a6:32:00:00:03"),
}
SETTINGS = PowerSettings(
    default_off_s=SECOND_S, min_off_s=SECOND_S, late_effect_s=0.15,
    retry_first_s=0.02, retry_max_s=0.1,
)  # fmt: skip
# Longer than a look takes on a busy machine, so that each state of the port is looked at.
LATENCIES = Latencies(off=0.06, on=0.06, restart=0.2)
CASE_S = 30.0
NOWHERE = ("", 0)
POWERLESS = 2  # transitions once a port is off: told so, and without power
DRY_TRIES, EXACT_TRIES, TRIES = 10, 2, 8
SOURCES = Path(power.__file__).parent
TRACED = (
    *SOURCES.glob("*.py"),
    *(SOURCES.parents[1] / "journal").glob("*.py"),
    Path(two_steps.__file__),
)


class ShortSeconds(SwctrlDriver):
    """The real driver in a lab whose seconds are short."""

    async def cycle(self, port: int, *, off_s: float, op_id: str) -> CycleResult:
        """Count the switch's own seconds."""
        return await super().cycle(port, off_s=max(off_s / SECOND_S, 1), op_id=op_id)


MODES: dict[str, tuple[type[SwctrlDriver], bool]] = {
    "restart": (ShortSeconds, True),
    "detached": (ShortSeconds, False),
    "two_steps": (two_steps.TwoStepDriver, False),
}


@dataclass(slots=True)
class Result:
    """What a run found; `killed` counts deaths at exactly the wanted instant."""

    instants: int = 0
    killed: int = 0
    killed_nearby: int = 0  # at the line and path wanted, the switch a moment further
    unreached: list[str] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)
    by_state: dict[str, int] = field(default_factory=dict)  # of the intent, at the death
    by_power: dict[str, int] = field(default_factory=dict)  # transitions seen, at the death

    def add(self, other: "Result") -> None:
        """Add what another run found."""
        self.instants += other.instants
        self.killed += other.killed
        self.killed_nearby += other.killed_nearby
        self.unreached += other.unreached
        self.failures += other.failures
        self.by_state = dict(Counter(self.by_state) + Counter(other.by_state))
        self.by_power = dict(Counter(self.by_power) + Counter(other.by_power))


class Lane:
    """One switch, and the deaths tried on it one after the other."""

    def __init__(self, directory: Path, mode: str, *, recovers: bool = True) -> None:
        """Without `recovers` nobody starts after a death: the control of the experiment."""
        self._directory, self._mode, self._recovers = directory, mode, recovers
        directory.mkdir(parents=True)
        self._state_dir = directory / "state"
        self.rack = Rack(directory, latencies=LATENCIES, second_s=SECOND_S)

    def warm_up(self) -> None:
        """Cycle and recover once in this process: its children inherit what that loads."""
        self._prepare()
        self._cycle(lambda _: None, NOWHERE)
        self._recover()

    def dry_run(self) -> list[Instant]:
        """Run the cycle to its end; return its instants in order of first appearance."""
        seen = self._directory / "instants.json"

        def work() -> None:
            found: dict[Instant, None] = {}
            outcome = self._cycle(found.setdefault)
            if outcome.verdict is not Verdict.VERIFIED:
                raise RuntimeError(f"the dry run is not verified: {outcome}")
            seen.write_text(json.dumps([asdict(instant) for instant in found]), encoding="utf-8")

        log = self._directory / "dry.log"
        for _ in range(DRY_TRIES):  # a machine too busy to see the port off shows another path
            self._prepare()
            if children.wait(children.spawn(work, log), CASE_S) == 0:
                break
        else:
            raise RuntimeError(log.read_text(encoding="utf-8"))
        return [_instant(one) for one in json.loads(seen.read_text(encoding="utf-8"))]

    def die_at(self, target: Instant, result: Result) -> None:
        """Kill a cycle at `target`, recover, judge; add what came of it to `result`."""
        for attempt in range(TRIES):
            exactly = attempt < EXACT_TRIES
            self._prepare()
            pid = children.spawn(
                partial(self._die, target, exactly=exactly),
                self._directory / "cycle.log",
            )
            if children.wait(pid, CASE_S) == -signal.SIGKILL:
                break
        else:
            result.unreached.append(str(target))
            return
        if exactly:
            result.killed += 1
        else:
            result.killed_nearby += 1
        self._note_state(result)
        problems = self._start_again() if self._recovers else []
        problems += judge(self.rack.report(), self._state_dir)
        result.failures += [f"{target}: {problem}" for problem in problems]

    def _start_again(self) -> list[str]:
        log = self._directory / "recovery.log"
        if children.wait(children.spawn(self._recover, log), CASE_S) == 0:
            return []
        return [f"recovery failed: {log.read_text(encoding='utf-8')}"]

    def _prepare(self) -> None:
        self.rack.reset()
        shutil.rmtree(self._state_dir, ignore_errors=True)

    def _note_state(self, result: Result) -> None:
        seen = str(self.rack.transitions())
        result.by_power[seen] = result.by_power.get(seen, 0) + 1
        with Journal(self._state_dir) as journal:
            state = next((intent.state.value for intent in journal.intents.recent()), "none")
        result.by_state[state] = result.by_state.get(state, 0) + 1

    def _die(self, target: Instant, *, exactly: bool) -> None:
        def visit(instant: Instant) -> None:
            same = instant == target if exactly else _is_nearby(instant, target)
            if same:
                os.kill(os.getpid(), signal.SIGKILL)

        self._cycle(visit, target.path[0])

    def _cycle(self, visit: Callable[[Instant], object], at: Place | None = None) -> PowerOutcome:
        async def run() -> PowerOutcome:
            with Journal(self._state_dir) as journal:
                service = self._service(journal)
                request = PowerRequest("yellow1", "runbook hung", action_id="a1")
                with Tracer(TRACED, self._outside(), visit, at):
                    outcome = await service.cycle(request)
                await service.aclose()
                return outcome

        return asyncio.run(run())

    def _outside(self) -> Callable[[], tuple[int, ...]]:
        """Measure what is on disk (each commit makes the log grow) and what the switch did."""
        wal = str(self._state_dir / f"{FILE_NAME}-wal")

        def look() -> tuple[int, ...]:
            size = 0
            with suppress(FileNotFoundError):
                size = os.stat(wal).st_size  # noqa: PTH116 - at every line: quick
            return size, self.rack.transitions()

        return look

    def _recover(self) -> None:
        """Do what a supervisor does at its start."""

        async def run() -> None:
            with Journal(self._state_dir) as journal:
                journal.state.next_term()
                service = self._service(journal)
                deadline = clock.boottime() + CASE_S / 2
                while True:
                    result = await service.reconcile()
                    for told in result.closed:
                        journal.timeline.append(Event("reconciled", told.story, told.node))
                    if not result.pending:
                        break
                    if clock.boottime() > deadline:
                        raise TimeoutError(f"still pending: {result}")
                    await asyncio.sleep(0.1)
                await service.aclose()

        asyncio.run(run())

    def _service(self, journal: Journal) -> PowerService:
        driver, atomic = MODES[self._mode]
        settings = SwctrlSettings(
            address="127.0.0.1", port=self.rack.port, known_hosts=self.rack.known_hosts,
            client_key=self.rack.client_key, ports=BYSTANDER, atomic=atomic, poll_s=0.02,
            settle_s=2.0,
        )  # fmt: skip
        return PowerService(driver(settings), journal, OUTLETS, SETTINGS)


def judge(report: Report, state_dir: Path) -> list[str]:
    """Return every way in which the world is not as promised after a recovery."""
    problems = [
        f"port {port} ends {report.admin[port]}, powered: {report.powered[port]}"
        for port in (PORT, BYSTANDER)
        if report.admin[port] != "auto" or not report.powered[port]
    ]
    if touched := {one.port for one in report.log} - {PORT}:
        problems.append(f"other ports were touched: {sorted(touched)}")
    offs = [one for one in report.log if one.what == "power" and one.after == "off"]
    if len(offs) > 1:
        problems.append(f"the port lost power {len(offs)} times")
    with Journal(state_dir) as journal:
        intents = journal.intents.recent()
        if len(intents) > 1:
            problems.append(f"there are {len(intents)} intents")
        if journal.intents.unfinished():
            problems.append("an intent is still unfinished")
        if report.log and not intents:
            problems.append("the switch acted, and the journal knows nothing")
        problems += [f"the story of {one.op_id} has no end" for one in intents if not one.detail]
        told = {entry.text for entry in journal.timeline.tail()}
        problems += [
            f"the timeline doesn't tell {one.detail!r}"
            for one in intents
            if one.state == "reconciled" and one.detail not in told
        ]
        if damage := journal.timeline.verify():
            problems.append(damage)
    return problems


def enumerate_deaths(
    directory: Path, mode: str, lanes: int, dry_runs: int, *, by_line: bool
) -> Result:
    """Die everywhere. The instants of several dry runs are united: timing varies.

    With `by_line` only those between the port's off and on, and the callers above a line make
    no other instant of it: every line dies in every state of the outside world there.
    """
    first = Lane(directory / "dry", mode)
    instants: dict[Instant, None] = {}
    for _ in range(dry_runs):
        instants |= dict.fromkeys(first.dry_run())
    first.rack.close()
    if by_line:
        between = [one for one in instants if 0 < one.outside[1] <= POWERLESS]
        first_of = {(one.path[0], one.outside): one for one in reversed(between)}
        instants = dict.fromkeys(first_of.values())
    work = list(instants)
    total = _in_lanes(directory / "crowd", mode, [work[lane::lanes] for lane in range(lanes)])
    missed, total.unreached = set(total.unreached), []
    # A busy machine is late for some: once more, alone.
    again = _in_lanes(directory / "alone", mode, [[one for one in work if str(one) in missed]])
    total.add(again)
    total.instants = len(work)
    return total


def die_without_recovery(directory: Path, count: int) -> Result:
    """Die `count` times between off and on, with nobody to start after it."""
    lane = Lane(directory / "control", "two_steps", recovers=False)
    between = [one for one in lane.dry_run() if one.outside[1] == POWERLESS]
    result = Result(instants=count)
    for target in between[:: max(1, len(between) // count)][:count]:
        lane.die_at(target, result)
    lane.rack.close()
    return result


def _in_lanes(directory: Path, mode: str, shares: list[list[Instant]]) -> Result:
    """Work on each share in a process and on a switch of its own; return the sum."""
    pids = {}
    for number, share in enumerate(shares):
        place = directory / str(number)
        place.mkdir(parents=True)
        pids[place] = children.spawn(partial(_run_lane, place, mode, share), place / "lane.log")
    total = Result()
    for (place, pid), share in zip(pids.items(), shares, strict=True):
        if children.wait(pid, CASE_S * (len(share) + 1)):
            raise RuntimeError((place / "lane.log").read_text(encoding="utf-8"))
        total.add(Result(**json.loads((place / "result.json").read_text(encoding="utf-8"))))
    return total


def _run_lane(place: Path, mode: str, share: list[Instant]) -> None:
    lane = Lane(place / "lane", mode)
    lane.warm_up()
    result = Result(instants=len(share))
    for target in share:
        lane.die_at(target, result)
    lane.rack.close()
    (place / "result.json").write_text(json.dumps(asdict(result)), encoding="utf-8")


def _is_nearby(instant: Instant, target: Instant) -> bool:
    """Whether the code is where it should be, and the journal too, whatever the switch did."""
    return instant.path == target.path and instant.outside[0] == target.outside[0]


def _instant(raw: dict[str, list[list[object]]]) -> Instant:
    path = tuple((str(file), int(str(line))) for file, line in raw["path"])
    return Instant(path, tuple(int(str(one)) for one in raw["outside"]))


def main() -> None:
    """Print one JSON object: what became of every death."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("mode", choices=MODES)
    parser.add_argument("directory", type=Path, help="an empty place for journals and logs")
    parser.add_argument("--lanes", type=int, default=6, help="how many deaths at once")
    parser.add_argument("--dry-runs", type=int, default=3)
    parser.add_argument(
        "--by-line", action="store_true", help="only between off and on, each line once"
    )
    parser.add_argument("--control", type=int, default=0, help="that many, without recovery")
    given = parser.parse_args()
    if given.control:
        result = die_without_recovery(given.directory, given.control)
    else:
        result = enumerate_deaths(
            given.directory, given.mode, given.lanes, given.dry_runs, by_line=given.by_line
        )
    print(json.dumps(asdict(result), indent=1))


if __name__ == "__main__":
    main()
