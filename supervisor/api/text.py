"""The status for people: 80 columns of plain text, the verdict first.

Names, reasons and log lines were written by others, so nothing of them that could move a
terminal's cursor gets through.
"""

import textwrap
from collections.abc import Iterable, Sequence

from common.observations import Truth
from supervisor.core.events import OverrideKind
from supervisor.core.status import (
    ConditionStatus,
    IncidentStatus,
    NodeState,
    NodeStatus,
    OverrideStatus,
    Status,
)

WIDTH = 80
_NAME, _STATE, _LIVENESS, _BEAT = 12, 9, 13, 6
_PATIENTS = {NodeState.SICK, NodeState.TREATING}
_MARKS = {Truth.TRUE: "", Truth.UNKNOWN: "?"}


def status_text(status: Status) -> str:
    """Render everything, ending in a newline."""
    return "\n".join(status_lines(status)) + "\n"


def status_lines(status: Status) -> list[str]:
    """Return the lines. The first is the whole verdict, however long."""
    lines = [_clean(status.verdict)]
    lines += [part for line in _automation(status) for part in _wrap("", line)]
    for incident in status.incidents:
        lines += ["", *_incident(incident)]
    lines += ["", _row("NODE", "STATE", "LIVENESS", "BEAT", "CONDITIONS (? unknown)")]
    for node in status.nodes:
        lines += [_node(node), *_seen_of(node)]
    return lines


def _automation(status: Status) -> Iterable[str]:
    pauses = [one for one in status.overrides if one.kind is OverrideKind.PAUSE]
    everywhere = [one for one in pauses if one.scope == "all"]
    word = "PAUSED" if everywhere else "ON"
    switch = {Truth.TRUE: "reachable", Truth.FALSE: "UNREACHABLE", Truth.UNKNOWN: "unknown"}
    reachable = switch[status.switch_reachable]
    yield f"automation {word}; switch {reachable}; up {span(status.up_s)}"
    if (path := status.fence_path) and path.ok is Truth.FALSE:
        yield f"POWER CAN'T BE RELIED UPON, checked {span(path.age_s)} ago: {path.detail}"
    for override in status.overrides:
        yield _override(override)
    if status.doubt:
        yield f"doubting ourselves, so nothing automatic is done: {status.doubt}"


def _override(one: OverrideStatus) -> str:
    left = "for ever" if one.remaining_s is None else f"{span(one.remaining_s)} more"
    return f"{one.kind.upper()} of {one.scope} by {one.author}, {left}: {one.reason} [{one.id}]"


def _incident(one: IncidentStatus) -> Iterable[str]:
    """Say what is wrong, what is done about it, what holds us back, and what it explains."""
    seen = f", acknowledged by {one.acknowledged_by}" if one.acknowledged_by else ""
    yield _fit(f"{one.state.upper()} for {span(one.state_s)}: {one.node}: {one.title}")
    yield _fit(f"  {one.id}, runbook {one.runbook}, open for {span(one.opened_s)}{seen}")
    if one.doing:
        yield from _wrap("  doing: ", one.doing)
    for held in one.held:
        yield from _wrap("  held back: ", f"{held.rail} for {span(held.for_s)}: {held.text}")
    if one.symptoms:
        yield from _wrap("  seen: ", ", ".join(one.symptoms))
    if one.explains:
        count = f"{len(one.explains)} {'node' if len(one.explains) == 1 else 'nodes'}: "
        yield from _wrap("  explains ", count + " ".join(one.explains))


def _node(node: NodeStatus) -> str:
    beat = "-" if node.beat_age_s is None else span(node.beat_age_s)
    by = f"by {node.explained_by} " if node.explained_by else ""
    conditions = by + _conditions(node.conditions)
    return _row(node.name, node.state, node.verdict, beat, conditions)


def _seen_of(node: NodeStatus) -> list[str]:
    """Under a node that is its own patient: what the switch says, the last of its evidence."""
    if node.state not in _PATIENTS or not node.evidence:
        return []
    return _wrap("  ", node.evidence[-1])


def _conditions(conditions: Sequence[ConditionStatus]) -> str:
    """Name what is true, then what is unknown; what is false is nobody's concern."""
    wanted = sorted((one for one in conditions if one.status in _MARKS), key=_true_first)
    return " ".join(f"{_MARKS[one.status]}{one.kind}" for one in wanted)


def _true_first(one: ConditionStatus) -> tuple[bool, str]:
    return one.status is not Truth.TRUE, one.kind


def _row(name: str, state: str, liveness: str, beat: str, conditions: str) -> str:
    row = f"{name:<{_NAME}} {state:<{_STATE}} {liveness:<{_LIVENESS}} {beat:>{_BEAT}}  {conditions}"
    return _fit(row)


def span(seconds: float) -> str:
    """Say a duration as people do: 0.4s, 41s, 12m, 3h12m, 5d."""
    if seconds < 10:  # noqa: PLR2004 - below this a tenth still tells something
        return f"{max(seconds, 0):.1f}s"
    minutes, secs = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    days, hours = divmod(hours, 24)
    if days:
        return f"{days}d{hours}h" if hours else f"{days}d"
    if hours:
        return f"{hours}h{minutes:02}m"
    return f"{minutes}m{secs:02}s" if minutes else f"{secs}s"


def _clean(text: str) -> str:
    return "".join(char if char.isprintable() else " " for char in text)


def _fit(text: str) -> str:
    text = _clean(text).rstrip()
    return text if len(text) <= WIDTH else text[: WIDTH - 1] + "…"


def _wrap(label: str, text: str) -> list[str]:
    return textwrap.wrap(
        _clean(text), WIDTH, initial_indent=label, subsequent_indent=" " * len(label)
    ) or [label.rstrip()]
