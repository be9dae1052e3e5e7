"""The official integration API: an API key, UUIDs, and an action for a port.

It tells whether PoE is enabled and whether power flows, and nothing of watts or addresses.
"""

from datetime import datetime
from email.utils import parsedate_to_datetime
from typing import Any

from common.clock import boottime
from supervisor.actuators.power.driver import Capability, Phase, PortState, PowerError, Stage
from supervisor.actuators.power.unifi_http import ControllerSettings, Http, Reply, credentials

_OK = range(200, 300)
_PAGE = 200
_MOST_PAGES = 10
_DELIVERING = {"UP": True, "LIMITED": True, "DOWN": False}
_MOST_AGE_S = 3600.0


class IntegrationApi:
    """Finds the switch by its MAC once, then asks by id."""

    capabilities: frozenset[Capability] = frozenset()

    def __init__(self, settings: ControllerSettings) -> None:
        self._settings = settings
        self._http = Http(settings)
        self._path = ""  # of the device, once it was found

    async def ports(self) -> dict[int, PortState]:
        """Return every PoE port, as of the switch's last report to its controller."""
        path = await self._device_path()
        device = (await self._call("GET", path)).body
        if device.get("state") != "ONLINE":
            raise PowerError(
                Phase.NOT_SENT,
                f"{self._settings.url}: the switch is {str(device.get('state')).lower()}",
                stage=Stage.REACH,
            )
        statistics = await self._call("GET", f"{path}/statistics/latest")
        now = boottime() - _age(statistics)
        interfaces = device.get("interfaces")
        rows = interfaces.get("ports") if isinstance(interfaces, dict) else None
        if not isinstance(rows, list):
            raise PowerError(Phase.NOT_SENT, "the device tells of no ports", stage=Stage.TABLE)
        powered = [
            row for row in rows if isinstance(row, dict) and isinstance(row.get("poe"), dict)
        ]
        return {state.port: state for state in (_state(row, now) for row in powered)}

    async def power_cycle(self, port: int) -> None:
        """Have the switch cycle one port."""
        path = f"{await self._device_path()}/interfaces/ports/{port}/actions"
        await self._call("POST", path, {"action": "POWER_CYCLE"}, Phase.UNKNOWN)

    async def aclose(self) -> None:
        """Close the session."""
        await self._http.aclose()

    async def _device_path(self) -> str:
        if self._path:
            return self._path
        settings = self._settings
        sites = await self._all("/sites")
        mine = [
            one for one in sites if settings.site in {one.get("internalReference"), one.get("name")}
        ]
        if not mine:
            raise PowerError(
                Phase.REJECTED, f"{settings.url}: no site {settings.site!r}", stage=Stage.TOOL
            )
        devices = f"/sites/{mine[0].get('id')}/devices"
        for device in await self._all(devices):
            if str(device.get("macAddress", "")).lower() == settings.device:
                self._path = f"{devices}/{device.get('id')}"
                return self._path
        raise PowerError(
            Phase.REJECTED,
            f"{settings.url}, site {settings.site}: {settings.device} isn't adopted here",
            stage=Stage.TOOL,
        )

    async def _all(self, path: str) -> list[dict[str, Any]]:
        """Read every page of a list."""
        found: list[dict[str, Any]] = []
        for page in range(_MOST_PAGES):
            query = f"{path}?offset={page * _PAGE}&limit={_PAGE}"
            data = (await self._call("GET", query)).body.get("data")
            rows = [one for one in data if isinstance(one, dict)] if isinstance(data, list) else []
            found += rows
            if len(rows) < _PAGE:
                break
        return found

    async def _call(
        self, method: str, path: str, body: Any = None, lost: Phase = Phase.NOT_SENT
    ) -> Reply:
        key = credentials(self._settings, "api_key")["api_key"]
        full = f"{self._settings.prefix}/integration/v1{path}"
        reply = await self._http.request(
            method, full, body=body, headers={"X-API-KEY": key}, lost=lost
        )
        if reply.status not in _OK or (method == "GET" and not isinstance(reply.body, dict)):
            self._path = ""  # what was found may have moved
            raise self._http.failure(path.partition("?")[0], reply, lost)
        return reply


def _age(statistics: Reply) -> float:
    """Seconds since the switch's last report. Both instants are of the controller's clock."""
    seen, date = statistics.body.get("lastHeartbeatAt"), statistics.headers.get("Date")
    try:
        age = parsedate_to_datetime(date or "") - datetime.fromisoformat(str(seen))
    except (ValueError, TypeError):
        return 0.0
    return min(max(age.total_seconds(), 0.0), _MOST_AGE_S)


def _state(row: dict[str, Any], seen_at: float) -> PortState:
    number, poe = row.get("idx"), row["poe"]
    if type(number) is not int:
        raise PowerError(Phase.NOT_SENT, f"{number!r} is no port number", stage=Stage.TABLE)
    enabled = poe.get("enabled")
    return PortState(
        port=number,
        admin="auto" if enabled is True else "off" if enabled is False else "unknown",
        delivering=_DELIVERING.get(str(poe.get("state"))),
        watts=None,
        pd_class=None,
        observed_at=seen_at,
        raw=f"idx {number}, enabled {enabled}, poe {poe.get('state')}, link {row.get('state')}",
    )
