"""What was saved is read back whatever has changed meanwhile, and errs on the safe side."""

from dataclasses import replace
from typing import Any

import pytest

from common.topology import Cluster
from supervisor.core.effects import Effect, Note, NoteKind, Perform, Save
from supervisor.core.events import OverrideLifted, Tick
from supervisor.core.medic import Medic, Restored
from supervisor.core.policy import Policy
from tests.simulation.cluster_world import CLUSTER, RUNBOOKS

INCIDENT: dict[str, Any] = {
    "id": "inc-0001",
    "node": "green4",
    "runbook": "node-hung",
    "title": "t",
    "symptoms": ["hung"],
    "opened_at": 900.0,
    "state": "verifying",
    "state_since": 950.0,
    "breaks": [],
    "explains": ["green5", "gone1"],
    "held": {},
    "action_id": "inc-0001.1",
}
ACTION: dict[str, Any] = {
    "id": "inc-0001.1",
    "node": "green4",
    "treatment": "power_cycle",
    "runbook": "node-hung",
    "disruptive": True,
    "at": 940.0,
}
OVERRIDE: dict[str, Any] = {
    "id": "o1",
    "kind": "pause",
    "scope": "all",
    "author": "ada",
    "reason": "r",
    "until": None,
}


def start(cluster: Cluster = CLUSTER, **restored: Any) -> tuple[Medic, list[Effect]]:
    medic = Medic(cluster, RUNBOOKS, Policy(), 1000.0, Restored(**restored))
    effects = [e for second in range(100) for e in medic.handle(Tick(), 1000.0 + second)]
    return medic, effects


def notes(effects: list[Effect], kind: NoteKind) -> list[str]:
    return [e.text for e in effects if isinstance(e, Note) and e.kind is kind]


def test_as_saved() -> None:
    """What was saved by this version, of nodes and runbooks that exist, is all there again."""
    medic, effects = start(incidents=[INCIDENT], actions=[ACTION], overrides=[OVERRIDE])
    status = medic.status(1100.0)
    assert [i.id for i in status.incidents] == ["inc-0001"]
    assert [o.id for o in status.overrides] == ["o1"]
    assert not notes(effects, NoteKind.RECOVERED)


@pytest.mark.parametrize(
    ("change", "why"),
    [({"node": "gone1"}, "no such node"), ({"runbook": "gone"}, "no runbook gone")],
)
def test_incident_of_something_removed(change: dict[str, str], why: str) -> None:
    """An incident whose node or runbook is gone is closed, durably, and the timeline says why."""
    medic, effects = start(incidents=[{**INCIDENT, **change}])
    assert medic.status(1100.0).incidents == ()
    assert why in notes(effects, NoteKind.RECOVERED)[0]
    assert [e.record["state"] for e in effects if isinstance(e, Save)] == ["recovered"]


def test_explained_node_removed() -> None:
    """An incident that explained a node which is no longer in the inventory goes on without it."""
    nodes = {name: node for name, node in CLUSTER.nodes.items() if name != "green5"}
    medic, _ = start(replace(CLUSTER, nodes=nodes), incidents=[INCIDENT])
    assert medic.status(1100.0).incidents[0].explains == ()


def test_runbook_with_fewer_steps() -> None:
    """An incident on a rung that its runbook no longer has is still verified."""
    medic, _ = start(incidents=[{**INCIDENT, "step": 7}])
    assert [i.id for i in medic.status(1100.0).incidents] == ["inc-0001"]


def test_two_incidents_of_one_node() -> None:
    """Of two open incidents of one node the older goes on and the other is closed."""
    medic, effects = start(incidents=[INCIDENT, {**INCIDENT, "id": "inc-0002"}])
    assert [i.id for i in medic.status(1100.0).incidents] == ["inc-0001"]
    assert "inc-0001 is open" in notes(effects, NoteKind.RECOVERED)[0]


def test_fields_of_another_version() -> None:
    """A field that this version doesn't know is no reason to forget the record."""
    medic, effects = start(
        incidents=[{**INCIDENT, "new": 1}],
        actions=[{**ACTION, "new": 1}],
        overrides=[{**OVERRIDE, "new": 1}],
    )
    assert len(medic.status(1100.0).incidents) == len(medic.status(1100.0).overrides) == 1
    assert not notes(effects, NoteKind.SELF_DOUBT)


@pytest.mark.parametrize(
    "records",
    [
        {"incidents": [{}]},
        {"incidents": [{**INCIDENT, "state": "confused"}]},
        {"incidents": [{**INCIDENT, "opened_at": "yesterday"}]},
        {"actions": [{"id": "a"}]},
        {"actions": [{**ACTION, "at": None}]},
    ],
    ids=str,
)
def test_unreadable(records: dict[str, Any]) -> None:
    """A record that can't be read is told, and the supervisor starts all the same."""
    _, effects = start(**records)
    assert "can't be read" in notes(effects, NoteKind.SELF_DOUBT)[0]


def test_unreadable_override_pauses_everything() -> None:
    """Nobody knows what it forbade, so it forbids everything, until somebody lifts it."""
    medic, _ = start(overrides=[{**OVERRIDE, "kind": "siesta"}])
    (held,) = medic.status(1100.0).overrides
    assert (held.id, held.scope, held.kind) == ("o1", "all", "pause")
    medic.handle(OverrideLifted("o1", "ada"), 1101.0)
    assert medic.status(1101.0).overrides == ()


def test_times_in_the_future() -> None:
    """A saved time that lies in the future holds nothing up for longer than if it were now."""
    future = 1e9
    records = [{**INCIDENT, "state": "open", "retry_at": future, "state_since": future}]
    medic, _ = start(incidents=records, actions=[{**ACTION, "at": future}])
    assert all(i.state_s >= 0 for i in medic.status(1100.0).incidents)
    assert not any(isinstance(e, Perform) for e in medic.handle(Tick(), 1101.0))


def test_clock_going_back() -> None:
    """A clock that goes back stands still for the core."""
    medic, _ = start()
    assert medic.handle(Tick(), 500.0) == []
    assert not notes(medic.handle(Tick(), 1100.5), NoteKind.SELF_DOUBT)
