"""The Network application's own API, as its web pages use it: login by name, cookies, `cmd`.

It tells more than the official one (watts, classes, which client hangs on which port) and is
documented by those who read it, not by Ubiquiti.
"""

from email.utils import parsedate_to_datetime
from typing import Any

from common.clock import boottime
from supervisor.actuators.power.driver import Capability, Phase, PortState, PowerError, Stage
from supervisor.actuators.power.unifi_http import ControllerSettings, Http, Reply, credentials

_OK, _UNAUTHORIZED, _BAD_REQUEST = 200, 401, 400
_CONNECTED = 1
_STATES: dict[Any, str] = {
    0: "disconnected",
    4: "upgrading",
    5: "provisioning",
    6: "missing heartbeats",
}
_CSRF = "X-CSRF-Token"
_MOST_AGE_S = 3600.0


class ClassicApi:
    """Logs in when needed, and again when its session has expired."""

    capabilities = frozenset({Capability.PER_PORT_WATTS, Capability.MAC_LOOKUP})

    def __init__(self, settings: ControllerSettings) -> None:
        self._settings = settings
        self._http = Http(settings)
        self._logged_in = False
        self._csrf = ""

    async def ports(self) -> dict[int, PortState]:
        """Return every PoE port, as of the switch's last report to its controller."""
        reply = await self._call("GET", f"stat/device/{self._settings.device}")
        device = self._device(reply)
        now = boottime() - _age(device, reply)
        rows = device.get("port_table")
        if not isinstance(rows, list):
            raise PowerError(Phase.NOT_SENT, "the device has no port table", stage=Stage.TABLE)
        states = [_state(row, now) for row in rows if isinstance(row, dict) and row.get("port_poe")]
        return {state.port: state for state in states}

    async def power_cycle(self, port: int) -> None:
        """Have the switch cycle one port."""
        body = {"cmd": "power-cycle", "mac": self._settings.device, "port_idx": port}
        await self._call("POST", "cmd/devmgr", body, Phase.UNKNOWN)

    async def macs(self) -> dict[str, int]:
        """Return the port behind which each wired client is connected."""
        reply = await self._call("GET", "stat/sta")
        return {
            str(client["mac"]).lower(): client["sw_port"]
            for client in _data(reply)
            if client.get("sw_mac") == self._settings.device
            and isinstance(client.get("sw_port"), int)
            and "mac" in client
        }

    async def aclose(self) -> None:
        """Close the session."""
        await self._http.aclose()

    async def _call(
        self, method: str, path: str, body: Any = None, lost: Phase = Phase.NOT_SENT
    ) -> Reply:
        """Send, after a login if there is none. A refused session was not acted upon: once more."""
        fresh = not self._logged_in
        if fresh:
            await self._login()
        full = f"{self._settings.prefix}/api/s/{self._settings.site}/{path}"
        reply = await self._http.request(
            method, full, body=body, headers={_CSRF: self._csrf}, lost=lost
        )
        if reply.status == _UNAUTHORIZED and not fresh:
            self._logged_in = False
            return await self._call(method, path, body, lost)
        self._note_csrf(reply)
        if reply.status != _OK or not isinstance(reply.body, dict):
            raise self._http.failure(path.partition("/")[0], reply, lost)
        if reply.body.get("meta", {}).get("rc") != "ok":
            raise self._http.failure(path, Reply(_BAD_REQUEST, reply.body, reply.headers), lost)
        return reply

    async def _login(self) -> None:
        secret = credentials(self._settings, "username", "password")
        path = "/api/auth/login" if self._settings.unifi_os else "/api/login"
        reply = await self._http.request("POST", path, body=secret)
        if reply.status == _BAD_REQUEST:  # how the bare application says that a login is wrong
            reply = Reply(_UNAUTHORIZED, reply.body, reply.headers)
        if reply.status != _OK:
            raise self._http.failure("login", reply)
        self._note_csrf(reply)
        self._logged_in = True

    def _note_csrf(self, reply: Reply) -> None:
        self._csrf = (
            reply.headers.get("X-Updated-CSRF-Token") or reply.headers.get(_CSRF) or self._csrf
        )

    def _device(self, reply: Reply) -> dict[str, Any]:
        mine = [one for one in _data(reply) if one.get("mac") == self._settings.device]
        where = f"{self._settings.url}, site {self._settings.site}"
        if not mine or mine[0].get("adopted") is False:
            raise PowerError(
                Phase.REJECTED,
                f"{where}: {self._settings.device} isn't adopted here",
                stage=Stage.TOOL,
            )
        state = mine[0].get("state")
        if state != _CONNECTED:
            word = _STATES.get(state, "") or f"in state {state}"
            raise PowerError(Phase.NOT_SENT, f"{where}: the switch is {word}", stage=Stage.REACH)
        return mine[0]


def _data(reply: Reply) -> list[dict[str, Any]]:
    data = reply.body.get("data")
    return [one for one in data if isinstance(one, dict)] if isinstance(data, list) else []


def _age(device: dict[str, Any], reply: Reply) -> float:
    """Seconds since the switch's last report. Both instants are of the controller's clock."""
    seen, date = device.get("last_seen"), reply.headers.get("Date")
    if not isinstance(seen, int | float) or not date:
        return 0.0
    try:
        age = parsedate_to_datetime(date).timestamp() - seen
    except ValueError:
        return 0.0
    return min(max(age, 0.0), _MOST_AGE_S)


def _state(row: dict[str, Any], seen_at: float) -> PortState:
    number, mode = row.get("port_idx"), row.get("poe_mode")
    if type(number) is not int:
        raise PowerError(Phase.NOT_SENT, f"{number!r} is no port number", stage=Stage.TABLE)
    power = row.get("poe_power")
    delivering = row["poe_good"] if isinstance(row.get("poe_good"), bool) else None
    words = ("port_idx", "poe_mode", "poe_enable", "poe_good", "poe_power", "poe_class", "up")
    return PortState(
        port=number,
        admin="off" if mode == "off" else "auto" if mode == "auto" else "unknown",
        delivering=delivering,
        watts=_watts(power),
        pd_class=str(row["poe_class"]) if delivering and "poe_class" in row else None,
        observed_at=seen_at,
        raw=", ".join(f"{word} {row[word]}" for word in words if word in row),
    )


def _watts(value: object) -> float | None:
    try:
        watts = float(str(value))
    except ValueError:
        return None
    return watts if 0 <= watts <= 100 else None  # noqa: PLR2004 -- 802.3bt ends at 90 W
