"""What must hold in every case, judged by the switch's own log; claims are held against it."""

import json
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from lab.matrix.cases import OTHER, PORT, Case
from lab.matrix.lives import SETTINGS
from lab.matrix.switchyard import PLUGGED, Account
from lab.switch.faults import Kind
from lab.switch.ports import Transition
from supervisor.actuators.power.orders import Verdict
from supervisor.journal.intents import Intent, IntentState, IntentStep
from supervisor.journal.journal import Journal

PROMISE_S = 60.0
_DROPS_ALL = {Kind.REBOOT, Kind.UPGRADE}
_EVER = float("inf")
_NOTHING_DONE = {Verdict.FAILED, Verdict.REFUSED}


@dataclass(frozen=True, slots=True)
class Claim:
    """What the service answered to one order."""

    action: str
    begun: float
    ended: float
    verdict: Verdict
    detail: str
    settled: bool
    op_id: str
    others: list[list[object]]


def judge(case: Case, account: Account, place: Path) -> list[str]:
    """Return every way in which the case did not go as promised."""
    lines = (place / "outcomes").read_text(encoding="utf-8").splitlines()
    claims = [_claim(line) for line in lines]
    with Journal(place / "state") as journal:
        intents = journal.intents.recent()
        steps = {one.op_id: journal.intents.steps(one.op_id) for one in intents}
        damage = journal.timeline.verify()
    problems = [damage] if damage else []
    problems += _ends(account)
    problems += _strangers(case, account)
    for port in PLUGGED:
        problems += _off_too_long(account, port)
    problems += _too_often(account)
    for claim in claims:
        problems += _untrue(claim, account)
    for intent in intents:
        problems += _misremembered(intent, steps[intent.op_id], account)
    problems += _untold(case, account, claims, intents)
    return problems


def _claim(line: str) -> Claim:
    raw = json.loads(line)
    return Claim(**(raw | {"verdict": Verdict(raw["verdict"])}))


def _ends(account: Account) -> list[str]:
    return [
        f"port {port} ends {account.admin[port]}, powered: {account.powered[port]}"
        for port in PLUGGED
        if account.admin[port] != "auto" or not account.powered[port]
    ]


def _ours(one: Transition) -> bool:
    """Whether a command caused it, and not the switch by itself."""
    return one.cause.startswith("swctrl")


def _strangers(case: Case, account: Account) -> list[str]:
    allowed = {PORT, OTHER} if case.kind is Kind.WRONG_PORT else {PORT}
    touched = {one.port for one in account.log if _ours(one)} - allowed
    if case.kind not in _DROPS_ALL:
        touched |= {one.port for one in account.log} - allowed
    return [f"other ports were touched: {sorted(touched)}"] if touched else []


def _off_too_long(account: Account, port: int) -> list[str]:
    """Off for more than a minute in which supervisor and switch could speak is too long."""
    problems = []
    for since, until in _times_off(account, port):
        end = min(until, account.ended)
        held_up = [to for start, to in account.obstructed if start < end]
        could_speak = max([since, *held_up, *(life for life in account.lives if life < end)])
        if end - could_speak > PROMISE_S:
            problems.append(f"port {port} was off for {end - could_speak:.0f} s without need")
    return problems


def _times_off(account: Account, port: int) -> list[tuple[float, float]]:
    found, since = [], None
    for one in account.log:
        if one.port != port or one.what != "power":
            continue
        if one.after == "off":
            since = one.at
        elif since is not None:
            found.append((since, one.at))
            since = None
    return found if since is None else [*found, (since, _EVER)]


def _too_often(account: Account) -> list[str]:
    offs = [
        one.at
        for one in account.log
        if one.port == PORT and (one.what, one.after) == ("power", "off") and _ours(one)
    ]
    return [
        f"lost power twice within {later - sooner:.0f} s"
        for sooner, later in pairwise(offs)
        if later - sooner < SETTINGS.cool_down_s
    ]


def _was_cycled(account: Account, begun: float, ended: float) -> bool:
    return any(begun <= since and until <= ended for since, until in _times_off(account, PORT))


def _acted(account: Account, begun: float, ended: float) -> list[str]:
    """Return what commands given in a span did to any port, whenever it showed."""
    sessions = {session for at, session, _ in account.commands if begun <= at <= ended}
    return [
        f"{one.cause} at {one.at:.1f}"
        for one in account.log
        if one.session in sessions and _ours(one) and one.after == "off"
    ]


def _untrue(claim: Claim, account: Account) -> list[str]:
    said = f"{claim.action} claims {claim.verdict} ({claim.detail})"
    problems = []
    if claim.verdict is Verdict.VERIFIED and not _was_cycled(account, claim.begun, claim.ended):
        problems.append(f"{said}, and the log has no cycle")
    if claim.verdict in _NOTHING_DONE and (acts := _acted(account, claim.begun, claim.ended)):
        problems.append(f"{said}, and the log has {acts}")
    if claim.settled and claim.verdict is not Verdict.VERIFIED:
        told = [
            one.after
            for one in account.log
            if (one.port, one.what) == (PORT, "admin") and one.at <= claim.ended
        ]
        if told and told[-1] == "off":
            problems.append(f"{said}, settled, and the port was off")
    return problems


def _misremembered(intent: Intent, steps: list[IntentStep], account: Account) -> list[str]:
    begun, ended = steps[0].at_boottime, steps[-1].at_boottime
    said = f"the journal has {intent.kind} of port {intent.port} as {intent.state}"
    if intent.state not in {IntentState.DONE, IntentState.FAILED, IntentState.RECONCILED}:
        return [f"{said} at the end"]
    if intent.kind != "cycle":
        return []
    if intent.state is IntentState.DONE and not _was_cycled(account, begun, ended):
        return [f"{said}, and the log has no cycle"]
    if intent.state is IntentState.FAILED and (acts := _acted(account, begun, ended)):
        return [f"{said}, and the log has {acts}"]
    return []


def _untold(case: Case, account: Account, claims: list[Claim], intents: list[Intent]) -> list[str]:
    """Damage to a bystander that lasts has to be told by the outcome, and journalled."""
    if case.kind is not Kind.WRONG_PORT:
        return []
    hit = any((one.port, one.what, one.after) == (OTHER, "admin", "off") for one in account.log)
    if not hit:
        return []
    problems = []
    if not any(one.port == OTHER and one.kind == "on" for one in intents):
        problems.append("the journal doesn't tell that the other port was repaired")
    told = any([OTHER, True] in claim.others for claim in claims)
    if not told and not account.deaths:
        problems.append("no outcome tells that the other port was hit")
    return problems
