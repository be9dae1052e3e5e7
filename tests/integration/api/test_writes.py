"""What people may decree, over real HTTP."""

import json
from typing import Any

import pytest

from supervisor.core.effects import Note, NoteKind, Treatment
from supervisor.core.events import (
    Acknowledged,
    ActRequested,
    Override,
    OverrideKind,
    OverrideLifted,
    OverrideSet,
)
from supervisor.core.status import OverrideStatus
from tests.integration.api.harness import TOKEN, Api
from tests.integration.api.test_reads import INCIDENT
from tests.supervisor.pictures import a_status

AUTHORIZED = {"Authorization": f"Bearer {TOKEN}"}
PAUSE = {"kind": "pause", "scope": "all", "reason": "lab exercise"}
CYCLE = {"treatment": "power_cycle", "reason": "it hangs"}


async def send(
    api: Api, method: str, path: str, body: Any = None, headers: dict[str, str] = AUTHORIZED
) -> tuple[int, Any, dict[str, str]]:
    """Return status, document and headers."""
    async with api.http.request(method, api.url + path, json=body, headers=headers) as response:
        text = await response.text()
        if response.status >= 400:
            assert response.content_type == "application/problem+json"
        return response.status, json.loads(text) if text else None, dict(response.headers)


async def test_a_pause_lasts_an_hour_unless_told_otherwise(api: Api) -> None:
    """And carries its author."""
    before = api.backend.now()
    status, answer, headers = await send(api, "POST", "/v1/overrides", PAUSE)
    (event,) = api.events
    assert isinstance(event, OverrideSet)
    override = event.override
    assert (override.kind, override.scope) == (OverrideKind.PAUSE, "all")
    assert (override.author, override.reason) == ("anna", "lab exercise")
    assert before + 3600 <= override.until <= api.backend.now() + 3600
    assert status == 201
    assert headers["Location"] == f"/v1/overrides/{override.id}"
    assert (answer["id"], answer["remaining_s"]) == (override.id, 3600)


async def test_for_ever_must_be_said(api: Api) -> None:
    """In a word; no number means it, and null doesn't either."""
    status, answer, _ = await send(api, "POST", "/v1/overrides", PAUSE | {"duration_s": "forever"})
    assert (status, answer["remaining_s"]) == (201, None)
    assert api.events == [
        OverrideSet(Override(answer["id"], OverrideKind.PAUSE, "all", "anna", "lab exercise", None))
    ]
    for wrong in (None, 0, -1, 1e300, "NaN", "for ever"):
        body = PAUSE | {"duration_s": wrong}
        assert (await send(api, "POST", "/v1/overrides", body))[0] == 422


@pytest.mark.parametrize(
    ("scope", "found"),
    [("node:Green-1", "node:green1"), ("group:green", "group:green"), ("runbook:x", "runbook:x")],
)
async def test_a_scope_is_spelled_as_the_inventory_does(api: Api, scope: str, found: str) -> None:
    """Old spellings of nodes are understood."""
    _, answer, _ = await send(api, "POST", "/v1/overrides", PAUSE | {"scope": scope})
    assert answer["scope"] == found


@pytest.mark.parametrize(
    "change",
    [
        {"surprise": 1},
        {"kind": "nap"},
        {"scope": "node:mallory"},
        {"scope": "group:red"},
        {"scope": "everything"},
        {"scope": "all:green"},
        {"scope": "runbook:"},
        {"reason": ""},
        {"reason": "   "},
        {"reason": "x" * 201},
        {"reason": None},
    ],
)
async def test_a_wrong_override_is_422(api: Api, change: dict[str, Any]) -> None:
    """Unknown keys too; and nothing reaches the core."""
    status, answer, _ = await send(api, "POST", "/v1/overrides", PAUSE | change)
    assert status == 422
    assert answer["detail"]
    assert api.events == []


async def test_an_override_is_lifted_by_id(api: Api) -> None:
    """Only one in force can be."""
    in_force = OverrideStatus("o1", OverrideKind.PAUSE, "all", "bo", "why", 60)
    api.world.status = a_status(overrides=(in_force,))
    assert (await send(api, "DELETE", "/v1/overrides/o1"))[:2] == (204, None)
    assert api.events == [OverrideLifted("o1", "anna")]
    assert (await send(api, "DELETE", "/v1/overrides/o2"))[0] == 404


async def test_a_treatment_by_hand_is_asked_of_the_core(api: Api) -> None:
    """With everything that was said, and protection only lifted in so many words."""
    body = CYCLE | {"arguments": {"off_s": "5"}, "protected": True, "skip_rails": ["cool_down"]}
    status, answer, _ = await send(api, "POST", "/v1/nodes/Pi-Login/actions", body)
    assert (status, answer["node"], answer["treatment"]) == (202, "pi_login", "power_cycle")
    assert api.events == [
        ActRequested(
            request_id=answer["id"],
            node="pi_login",
            treatment=Treatment.POWER_CYCLE,
            author="anna",
            reason="it hangs",
            arguments={"off_s": "5"},
            allow_protected=True,
            skip=frozenset({"cool_down"}),
        )
    ]


async def test_a_refusal_is_told_at_once(api: Api) -> None:
    """With each rail that refuses, and its reason."""
    text = "cycling power of green1 by hand refused by cool_down: 80 s to go"
    api.world.effects = [Note(NoteKind.REFUSED, text, "green1", None, {"rail": "cool_down"})]
    status, answer, _ = await send(api, "POST", "/v1/nodes/green1/actions", CYCLE)
    assert (status, answer["type"]) == (409, "urn:pimedic:problem:refused")
    assert answer["detail"] == "held back by cool_down"
    assert answer["errors"] == [{"pointer": "cool_down", "detail": text}]


async def test_nothing_is_lifted_by_default(api: Api) -> None:
    """Neither protection nor any rail."""
    await send(api, "POST", "/v1/nodes/green1/actions", CYCLE)
    (event,) = api.events
    assert isinstance(event, ActRequested)
    assert (event.allow_protected, event.skip, event.arguments) == (False, frozenset(), {})


@pytest.mark.parametrize(
    ("path", "change", "status"),
    [
        ("/v1/nodes/mallory/actions", {}, 404),
        ("/v1/nodes/green1/actions", {"treatment": "format_disk"}, 422),
        ("/v1/nodes/green1/actions", {"protected": "yes"}, 422),
        ("/v1/nodes/green1/actions", {"protect": True}, 422),
        ("/v1/nodes/green1/actions", {"arguments": {"unit": 7}}, 422),
        ("/v1/nodes/green1/actions", {"arguments": {str(n): "" for n in range(17)}}, 422),
    ],
)
async def test_a_wrong_action_is_refused(
    api: Api, path: str, change: dict[str, Any], status: int
) -> None:
    """And nothing reaches the core."""
    assert (await send(api, "POST", path, CYCLE | change))[0] == status
    assert api.events == []


async def test_an_incident_is_acknowledged_in_ones_name(api: Api) -> None:
    """Only an open one."""
    api.world.status = a_status(incidents=(INCIDENT,))
    status, answer, _ = await send(api, "POST", "/v1/incidents/i-7/ack")
    assert (status, answer) == (200, {"id": "i-7", "acknowledged_by": "anna"})
    assert api.events == [Acknowledged("i-7", "anna")]
    assert (await send(api, "POST", "/v1/incidents/i-8/ack"))[0] == 404


WRITES = [
    ("POST", "/v1/overrides"),
    ("DELETE", "/v1/overrides/o1"),
    ("POST", "/v1/nodes/green1/actions"),
    ("POST", "/v1/incidents/i-7/ack"),
]


@pytest.mark.parametrize(("method", "path"), WRITES)
@pytest.mark.parametrize("headers", [{}, {"Authorization": "Bearer wrong"}])
async def test_every_write_needs_a_token(
    api: Api, method: str, path: str, headers: dict[str, str]
) -> None:
    """Before anything else is looked at, a malformed body included."""
    sent = headers | {"Content-Type": "application/json"}
    async with api.http.request(method, api.url + path, data=b"{", headers=sent) as response:
        assert response.status == 401
        assert response.headers["WWW-Authenticate"].startswith("Bearer")
        assert response.content_type == "application/problem+json"
    assert api.events == []


@pytest.mark.parametrize("origin", ["http://evil.example", "null", "http://127.0.0.1:1"])
async def test_another_sites_page_cannot_write(api: Api, origin: str) -> None:
    """Not even with a token."""
    headers = AUTHORIZED | {"Origin": origin}
    assert (await send(api, "POST", "/v1/overrides", PAUSE, headers))[0] == 403
    assert api.events == []


async def test_our_own_page_may_write(api: Api) -> None:
    """Its origin is our host."""
    headers = AUTHORIZED | {"Origin": api.url}
    assert (await send(api, "POST", "/v1/overrides", PAUSE, headers))[0] == 201


async def test_guessing_is_slowed_down(api: Api) -> None:
    """After ten wrong tokens a client is told to wait; a right one still passes."""
    wrong = {"Authorization": "Bearer wrong"}
    seen = [(await send(api, "POST", "/v1/overrides", PAUSE, wrong))[0] for _ in range(11)]
    assert seen == [401] * 10 + [429]
    assert (await send(api, "POST", "/v1/overrides", PAUSE))[0] == 201


async def test_malformed_json_is_400(api: Api) -> None:
    """It is no wrong value but no JSON at all."""
    headers = AUTHORIZED | {"Content-Type": "application/json"}
    url = api.url + "/v1/overrides"
    async with api.http.post(url, data=b"{", headers=headers) as response:
        assert response.status == 400
        assert response.content_type == "application/problem+json"


async def test_a_large_body_is_413(api: Api) -> None:
    """Even with a token, and the answer arrives."""
    status, _, _ = await send(api, "POST", "/v1/overrides", PAUSE | {"reason": "x" * 10**6})
    assert status == 413
    assert api.events == []
