"""Runs cases in lanes of processes, and says what came of them as one JSON object."""

import argparse
import asyncio
import gc
import json
import os
import random
import shutil
import signal
import socket
from collections import Counter
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from pathlib import Path

import asyncssh
import structlog

from lab.crash import children
from lab.matrix import cases, lives, switchyard
from lab.matrix.cases import Case
from lab.matrix.judge import judge
from lab.matrix.lockstep import Control, SharedClock
from lab.matrix.switchyard import Account
from lab.switch.server import FakeSwitch
from supervisor.actuators.power.orders import PowerRequest
from supervisor.journal.journal import Journal

CASE_S = 120.0  # real seconds for one life; it takes a fraction of one
MOST_LIVES = 4


@dataclass(slots=True)
class Result:
    """What came of many cases. One that never got to its fault or death says nothing."""

    listed: int = 0
    judged: int = 0
    unreached: int = 0
    failures: list[str] = field(default_factory=list)
    by_mode: dict[str, int] = field(default_factory=dict)
    by_fault: dict[str, int] = field(default_factory=dict)
    by_phase: dict[str, int] = field(default_factory=dict)
    by_death: dict[str, int] = field(default_factory=dict)
    verdicts: dict[str, int] = field(default_factory=dict)

    def add(self, other: "Result") -> None:
        """Add what another lane found."""
        self.listed += other.listed
        self.judged += other.judged
        self.unreached += other.unreached
        self.failures += other.failures
        for name in ("by_mode", "by_fault", "by_phase", "by_death", "verdicts"):
            both = Counter(getattr(self, name)) + Counter(getattr(other, name))
            setattr(self, name, dict(both))

    def count(self, case: Case, first: str) -> None:
        """Count one judged case; `first` is what became of its first order."""
        self.judged += 1
        for table, key in (
            (self.by_mode, case.mode), (self.by_fault, case.kind or "no fault"),
            (self.by_phase, case.phase), (self.by_death, case.death), (self.verdicts, first),
        ):  # fmt: skip
            table[str(key)] = table.get(str(key), 0) + 1


def run_case(case: Case, place: Path, keys: list[asyncssh.SSHKey]) -> Account:
    """Run one case in fresh processes; what they left is in `place`."""
    shutil.rmtree(place, ignore_errors=True)
    place.mkdir(parents=True)
    (place / "key").write_bytes(keys[0].export_private_key())
    (place / "outcomes").touch()
    clock = SharedClock()
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)

    def be_switch() -> None:
        ours.close()
        switchyard.serve(clock, theirs, case, keys, place)

    switch = children.spawn(be_switch, place / "switch.log")
    theirs.close()
    try:
        control = Control(ours)
        port = int(control.ask("port"))
        for number in range(MOST_LIVES):
            work = partial(lives.live, clock, ours, case, number, place, port)
            log = place / f"life{number}.log"
            status = children.wait(children.spawn(work, log), CASE_S)
            if status == 0:
                break
            if status != -signal.SIGKILL:
                raise RuntimeError(f"{case}: {log.read_text(encoding='utf-8')}")
        else:
            raise RuntimeError(f"{case}: every life was cut short")
        control.ask("end")
    finally:
        ours.close()
        children.wait(switch, CASE_S)
    return Account.load(place / "account.json")


def is_reached(case: Case, account: Account) -> bool:
    """Whether the fault was played, and every death died, as the case wants it."""
    played = account.injected or case.kind is None
    return played and len(account.deaths) == len(cases.DEATHS[case.death])


def run_lane(place: Path, share: list[Case]) -> None:
    """Run a share of the cases, one after the other; what fails is told at once in its log."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(50))
    asyncio.run(_warm_up(place))
    gc.freeze()  # what children share with us stays shared
    keys = [asyncssh.generate_private_key("ssh-ed25519") for _ in range(2)]
    result = Result(listed=len(share))
    for case in share:
        here = place / "case"
        account = run_case(case, here, keys)
        if is_reached(case, account):
            lines = (here / "outcomes").read_text(encoding="utf-8").splitlines()
            result.count(case, json.loads(lines[0])["verdict"] if lines else "none")
        else:
            result.unreached += 1
        for problem in judge(case, account, here):
            print(f"{case}: {problem}", flush=True)  # into the lane's log
            result.failures.append(f"{case}: {problem}")
        (place / "result.json").write_text(json.dumps(asdict(result)), encoding="utf-8")


async def _warm_up(place: Path) -> None:
    """Log in and look once in this process: its children inherit what that loads."""
    key = asyncssh.generate_private_key("ssh-ed25519")
    async with FakeSwitch(authorized_keys=[key]) as switch:
        (place / "key").write_bytes(key.export_private_key())
        (place / "known_hosts").write_text(switch.known_hosts_line(), encoding="utf-8")
        with Journal(place / "state") as journal:
            case = Case("restart", None, "-", cases.ALIVE)
            service = lives.service(case, journal, place, switch.port)
            await service.cycle(PowerRequest("green1", "warming up"))
            await service.aclose()


def run_all(wanted: list[Case], place: Path, lanes: int) -> Result:
    """Run cases in several lanes; return the sum."""
    pids = {}
    for number in range(lanes):
        lane = place / str(number)
        lane.mkdir(parents=True)
        work = partial(run_lane, lane, wanted[number::lanes])
        pids[lane] = children.spawn(work, lane / "lane.log")
    total = Result()
    for lane, pid in pids.items():
        if children.wait(pid, CASE_S * (len(wanted) + 1)):
            raise RuntimeError((lane / "lane.log").read_text(encoding="utf-8"))
        total.add(Result(**json.loads((lane / "result.json").read_text(encoding="utf-8"))))
    return total


def main() -> None:
    """Print one JSON object: what became of every case."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("directory", type=Path, help="an empty place for journals and logs")
    parser.add_argument("--some", action="store_true", help="a fixed choice: seconds, not an hour")
    parser.add_argument("--only", default="", help="a part of the case's name")
    parser.add_argument("--without", type=cases.Without, choices=cases.Without, help="a control")
    parser.add_argument("--lanes", type=int, default=os.cpu_count() or 1)
    given = parser.parse_args()
    wanted = cases.some() if given.some else cases.everything()
    wanted = [replace(case, without=given.without) for case in wanted if given.only in str(case)]
    random.Random(1).shuffle(wanted)  # noqa: S311 - a run cut short has seen a bit of everything
    result = run_all(wanted, given.directory, min(given.lanes, max(1, len(wanted))))
    print(json.dumps(asdict(result), indent=1))


if __name__ == "__main__":
    main()
