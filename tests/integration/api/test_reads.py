"""What anybody may read, over real HTTP."""

import json
from typing import Any

import pytest

from common.observations import Truth
from supervisor.core.events import OverrideKind
from supervisor.core.liveness import Verdict
from supervisor.core.status import (
    ConditionStatus,
    FenceStatus,
    IncidentState,
    IncidentStatus,
    NodeState,
    OverrideStatus,
)
from tests.integration.api.harness import Api
from tests.supervisor.pictures import a_node_status, a_status

BROWSER = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"
INCIDENT = IncidentStatus(
    id="i-7",
    node="pi_login",
    runbook="login_root_read_only",
    title="root is read-only",
    state=IncidentState.TREATING,
    opened_s=40.0,
    state_s=12.0,
    doing="cycling port 15",
    symptoms=("root_read_only",),
    explains=("green1",),
)


async def get(
    api: Api, path: str, accept: str | None = None, **headers: str
) -> tuple[int, str, str, dict[str, str]]:
    """Return status, media type, text and headers."""
    sent = headers | ({"Accept": accept} if accept else {})
    async with api.http.get(api.url + path, headers=sent) as response:
        return (
            response.status,
            response.content_type,
            await response.text(),
            dict(response.headers),
        )


async def get_json(api: Api, path: str) -> Any:
    """Return a document that must be there."""
    status, media_type, text, _ = await get(api, path, "application/json")
    assert (status, media_type) == (200, "application/json")
    return json.loads(text)


@pytest.mark.parametrize(
    ("path", "accept", "media_type"),
    [
        ("/status", "*/*", "text/plain"),
        ("/status", BROWSER, "text/html"),
        ("/status", "application/json", "application/json"),
        ("/status?format=text", BROWSER, "text/plain"),
        ("/status?format=json", "*/*", "application/json"),
        ("/status?format=html", "*/*", "text/html"),
        ("/", "*/*", "text/html"),
    ],
)
async def test_the_status_comes_in_the_form_asked_for(
    api: Api, path: str, accept: str, media_type: str
) -> None:
    """`?format=` wins, then Accept; caches are told."""
    status, found, text, headers = await get(api, path, accept)
    assert (status, found) == (200, media_type)
    assert "all 2 nodes are well" in text
    assert headers["Vary"] == "Accept"
    assert headers["Cache-Control"] == "no-store"


async def test_head_is_get_without_a_body(api: Api) -> None:
    """Probes of load balancers use it."""
    async with api.http.head(api.url + "/status") as response:
        assert response.status == 200
        assert await response.read() == b""


async def test_the_text_begins_with_the_verdict(api: Api) -> None:
    """`curl -s | head -1` is the answer to "how are they?"."""
    _, _, text, _ = await get(api, "/status")
    assert text.splitlines()[0] == "all 2 nodes are well"


async def test_the_page_is_self_contained_and_escaped(api: Api) -> None:
    """Nothing is fetched, and what others wrote stays text."""
    api.world.status = a_status(verdict="<script>alert(1)</script>", healthy=False)
    _, _, text, headers = await get(api, "/", BROWSER)
    assert "<script" not in text
    assert "&lt;script&gt;" in text
    assert '<meta http-equiv="refresh" content="5">' in text
    assert "http:" not in text
    assert "https:" not in text
    policy = headers["Content-Security-Policy"]
    assert policy.startswith("default-src 'none'; style-src 'sha256-")
    assert "unsafe" not in policy


async def test_json_schema_1(api: Api) -> None:
    """Every key that programs may rely on."""
    api.world.status = a_status(
        healthy=False,
        switch_reachable=Truth.TRUE,
        fence_path=FenceStatus(Truth.TRUE, "all good", 60.0, 60.0),
        nodes=(
            a_node_status(
                "pi_login",
                port=15,
                state=NodeState.SICK,
                verdict=Verdict.USERLAND_SICK,
                conditions=(ConditionStatus("root_read_only", Truth.TRUE, 3.0, "/ is ro"),),
                incident="i-7",
                port_power="on",
                watts=3.1,
                link="up",
                evidence=("port 15: link up, 3.1 W",),
            ),
        ),
        incidents=(INCIDENT,),
        overrides=(OverrideStatus("o1", OverrideKind.PAUSE, "all", "anna", "why", None),),
    )
    assert await get_json(api, "/status") == {
        "schema": 1,
        "healthy": False,
        "verdict": "all 2 nodes are well",
        "up_s": 61.0,
        "doubt": "",
        "fence_path": {"ok": "true", "detail": "all good", "age_s": 60.0, "ok_age_s": 60.0},
        "switch_reachable": "true",
        "nodes": {
            "pi_login": {
                "role": "worker",
                "groups": [],
                "port": 15,
                "protected": False,
                "state": "sick",
                "verdict": "userland_sick",
                "beat_age_s": 0.4,
                "boot_id": "boot",
                "uptime_s": 60.0,
                "conditions": [
                    {
                        "kind": "root_read_only",
                        "status": "true",
                        "age_s": 3.0,
                        "reason": "/ is ro",
                    }
                ],
                "explained_by": None,
                "incident": "i-7",
                "port_power": "on",
                "watts": 3.1,
                "link": "up",
                "evidence": ["port 15: link up, 3.1 W"],
            }
        },
        "incidents": [
            {
                "id": "i-7",
                "node": "pi_login",
                "runbook": "login_root_read_only",
                "title": "root is read-only",
                "state": "treating",
                "opened_s": 40.0,
                "state_s": 12.0,
                "doing": "cycling port 15",
                "symptoms": ["root_read_only"],
                "explains": ["green1"],
                "held": [],
                "acknowledged_by": None,
            }
        ],
        "overrides": [
            {
                "id": "o1",
                "kind": "pause",
                "scope": "all",
                "author": "anna",
                "reason": "why",
                "remaining_s": None,
            }
        ],
    }


@pytest.mark.parametrize("spelling", ["pi_login", "pilogin", "Pi-Login", "pi-login"])
async def test_a_node_is_found_by_any_spelling(api: Api, spelling: str) -> None:
    """The answer says its proper name."""
    assert (await get_json(api, f"/v1/nodes/{spelling}"))["name"] == "pi_login"


async def test_nodes_are_listed(api: Api) -> None:
    """By name."""
    assert list((await get_json(api, "/v1/nodes"))["nodes"]) == ["pi_login", "green1"]


async def test_incidents_are_open_ones_then_stored_ones(api: Api) -> None:
    """An open one is shown as it is now, with what else was stored of it."""
    api.world.status = a_status(incidents=(INCIDENT,))
    api.backend.history.closed.extend(
        [{"id": "i-7", "state": "open", "timeline": [1]}, {"id": "i-6", "state": "recovered"}]
    )
    listed = (await get_json(api, "/v1/incidents"))["incidents"]
    assert [(one["id"], one["state"]) for one in listed] == [
        ("i-7", "treating"),
        ("i-6", "recovered"),
    ]
    one = await get_json(api, "/v1/incidents/i-7")
    assert (one["state"], one["timeline"]) == ("treating", [1])
    assert (await get_json(api, "/v1/incidents/i-6"))["state"] == "recovered"


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/nope", 404),
        ("GET", "/docs", 404),
        ("GET", "/v1/nodes/mallory", 404),
        ("GET", "/v1/incidents/nope", 404),
        ("GET", "/status?format=xml", 422),
        ("GET", "/v1/events?since=yesterday", 422),
        ("POST", "/status", 405),
        ("PUT", "/v1/overrides", 405),
        ("POST", "/v1/nope", 404),
    ],
)
async def test_every_error_is_problem_json(api: Api, method: str, path: str, status: int) -> None:
    """RFC 9457, whoever found the error."""
    async with api.http.request(method, api.url + path) as response:
        assert response.status == status
        assert response.content_type == "application/problem+json"
        found = json.loads(await response.text())
    assert found["status"] == status
    assert found["title"]
    assert found["detail"]


async def test_our_own_mistake_is_a_problem_that_tells_no_secret(api: Api) -> None:
    """A failing snapshot is a 500, and the next request is fine."""

    class Broken:
        def __getattr__(self, name: str) -> Any:
            raise RuntimeError("secret")

    good, api.world.status = api.world.status, Broken()
    status, media_type, text, _ = await get(api, "/status")
    assert (status, media_type) == (500, "application/problem+json")
    assert "secret" not in text
    api.world.status = good
    assert (await get(api, "/status"))[0] == 200


async def test_ready_only_when_the_daemon_says_so(api: Api) -> None:
    """Alive is not ready."""
    api.world.ready = False
    assert (await get(api, "/readyz"))[0] == 503
    assert (await get(api, "/healthz"))[0] == 200
    api.world.ready = True
    assert (await get(api, "/readyz"))[0] == 200


async def test_metrics_tell_the_snapshot(api: Api) -> None:
    """With known series at zero, unknown conditions absent, and nothing `_created`."""
    unknown = ConditionStatus("nfs_stalled", Truth.UNKNOWN, 1.0, "")
    false = ConditionStatus("overheating", Truth.FALSE, 1.0, "")
    true = ConditionStatus("root_read_only", Truth.TRUE, 1.0, "")
    api.world.status = a_status(
        nodes=(
            a_node_status("pi_login", verdict=Verdict.HUNG, conditions=(unknown, false, true)),
            a_node_status("green1", beat_age_s=None),
        ),
        incidents=(INCIDENT,),
        actions={("power_cycle", "succeeded"): 3},
        refusals={"budget": 2},
    )
    await api.agent().beat()
    status, media_type, text, _ = await get(api, "/metrics")
    assert (status, media_type) == (200, "text/plain")
    lines = set(text.splitlines())
    assert lines >= {
        'pimedic_node_info{node="pi_login",port="1",role="worker"} 1.0',
        'pimedic_node_up{node="pi_login"} 0.0',
        'pimedic_node_up{node="green1"} 1.0',
        'pimedic_node_condition{kind="root_read_only",node="pi_login"} 1.0',
        'pimedic_node_condition{kind="overheating",node="pi_login"} 0.0',
        'pimedic_incidents{state="treating"} 1.0',
        'pimedic_incidents{state="escalated"} 0.0',
        'pimedic_actions_total{result="succeeded",treatment="power_cycle"} 3.0',
        'pimedic_actions_total{result="failed",treatment="reboot"} 0.0',
        'pimedic_refusals_total{rail="budget"} 2.0',
        'pimedic_heartbeats_total{result="accepted"} 1.0',
        'pimedic_heartbeats_total{result="replayed"} 0.0',
        'pimedic_override_active{kind="pause"} 0.0',
    }
    assert "nfs_stalled" not in text
    assert "_created" not in text
    assert 'pimedic_last_heartbeat_timestamp_seconds{node="pi_login"}' in text
    assert 'pimedic_last_heartbeat_timestamp_seconds{node="green1"}' not in text
    assert "pimedic_build_info{version=" in text


@pytest.mark.parametrize(
    ("ok", "ok_age_s", "line", "success"),
    [
        (Truth.TRUE, 60.0, "pimedic_fence_path_ok 1.0", True),
        (Truth.FALSE, None, "pimedic_fence_path_ok 0.0", False),
        (Truth.UNKNOWN, 90000.0, "", True),
    ],
)
async def test_metrics_tell_of_the_fence_path(
    *, api: Api, ok: Truth, ok_age_s: float | None, line: str, success: bool
) -> None:
    """Good or not at the last check, absent while unknown, and when it was last good."""
    api.world.status = a_status(fence_path=FenceStatus(ok, "why", 60.0, ok_age_s))
    _, _, text, _ = await get(api, "/metrics")
    assert ("pimedic_fence_path_ok" in text) is bool(line)
    assert not line or line in text.splitlines()
    assert "\npimedic_fence_path_checked_timestamp_seconds " in text
    assert ("\npimedic_fence_path_success_timestamp_seconds " in text) is success


async def test_openapi_describes_every_route(api: Api) -> None:
    """Without a page that would load scripts from elsewhere."""
    paths = (await get_json(api, "/openapi.json"))["paths"]
    assert {"/status", "/metrics", "/v1/events", "/v1/overrides", "/v1/nodes/{name}"} <= set(paths)
    assert "security" in paths["/v1/overrides"]["post"]


async def test_a_crowd_of_readers_does_not_keep_beats_out(api: Api) -> None:
    """With every place for readers taken, readers are told to wait, and beats are accepted."""
    agent = api.agent()
    await agent.beat()
    api.backend.feed._most = 200
    open_streams = [await api.http.get(api.url + "/v1/events") for _ in range(64)]
    try:
        assert (await get(api, "/status"))[0] == 503
        assert (await agent.post(agent.body())).status == 200
    finally:
        for stream in open_streams:
            stream.close()
