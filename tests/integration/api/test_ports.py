"""The switch's ports over the API: what is read, what is asked, and how it is followed."""

from typing import Any

import pytest

from supervisor.core.events import ActRequested, OverrideKind
from supervisor.core.status import OverrideStatus, PowerAct
from tests.integration.api.harness import TOKEN, Api, MemoryHistory
from tests.supervisor.pictures import a_node_status, a_status

OFF = {"treatment": "power_off", "reason": "new card"}


async def get(api: Api, path: str) -> Any:
    async with api.http.get(api.url + path) as response:
        assert response.status == 200
        return await response.json()


async def ask(api: Api, body: dict[str, Any]) -> int:
    headers = {"Authorization": f"Bearer {TOKEN}"}
    url = f"{api.url}/v1/nodes/green1/actions"
    async with api.http.post(url, json=body, headers=headers) as response:
        return response.status


async def test_each_port_with_owner_and_last_act(api: Api) -> None:
    """A port tells its power, who keeps it off and until when, and what was done to it last."""
    acted = a_node_status(
        "green1",
        port_power="disabled",
        watts=0.0,
        boot_age_s=9.5,
        last_power=PowerAct("power_off", "succeeded", 12.25),
    )
    off = OverrideStatus("off-green1", OverrideKind.OFF, "node:green1", "anna", "card", 60.0)
    api.world.status = a_status(nodes=(a_node_status("pi_login"), acted), overrides=(off,))
    ports = await get(api, "/v1/ports")
    assert (ports["schema"], ports["stagger_s"], ports["max_booting"]) == (1, 5.0, 4)
    green1 = next(port for port in ports["ports"] if port["node"] == "green1")
    assert (green1["port"], green1["groups"], green1["power"]) == (2, ["green"], "disabled")
    assert green1["off"]["author"] == "anna"
    assert green1["off"]["remaining_s"] == 60.0
    assert green1["last"] == {"treatment": "power_off", "result": "succeeded", "age_s": 12.25}
    login = next(port for port in ports["ports"] if port["node"] == "pi_login")
    assert (login["off"], login["last"]) == (None, None)


async def test_the_timeline_is_followed_by_number(api: Api) -> None:
    """After a number what came since, oldest first; without one the newest."""
    history = api.backend.history
    assert isinstance(history, MemoryHistory)
    history.kept = [{"seq": number, "text": f"entry {number}"} for number in range(1, 8)]

    async def numbers(query: str) -> list[int]:
        entries = (await get(api, f"/v1/timeline{query}"))["entries"]
        return [entry["seq"] for entry in entries]

    assert await numbers("?since=4") == [5, 6, 7]
    assert await numbers("?since=4&limit=2") == [5, 6]
    assert await numbers("?limit=2") == [6, 7]


@pytest.mark.parametrize(
    ("said", "left_s"), [({}, 3600), ({"duration_s": 60}, 60), ({"duration_s": "forever"}, None)]
)
async def test_an_off_has_an_end(api: Api, said: dict[str, Any], left_s: float | None) -> None:
    """An hour unless another time is said; for ever has to be said."""
    assert await ask(api, OFF | said) == 202
    (event,) = api.events
    assert isinstance(event, ActRequested)
    if left_s is None:
        assert event.until is None
    else:
        assert event.until is not None
        assert event.until - api.backend.now() == pytest.approx(left_s, abs=5)


async def test_only_an_off_has_one(api: Api) -> None:
    """A cycle is over when it is over; its time without power goes to the actuator."""
    cycle = {"treatment": "power_cycle", "reason": "x", "duration_s": 60, "off_s": 12}
    assert await ask(api, cycle) == 202
    (event,) = api.events
    assert isinstance(event, ActRequested)
    assert (event.until, event.arguments) == (None, {"off_s": "12"})


async def test_off_is_no_override_to_set(api: Api) -> None:
    """An override of kind off comes from an act alone: nobody can claim what wasn't done."""
    body = {"kind": "off", "scope": "node:green1", "reason": "x"}
    headers = {"Authorization": f"Bearer {TOKEN}"}
    async with api.http.post(f"{api.url}/v1/overrides", json=body, headers=headers) as response:
        assert response.status == 422
    assert api.events == []
