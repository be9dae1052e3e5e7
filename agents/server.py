"""The agent's own small HTTP server: /healthz, /metrics, /observations. It only reads memory."""

from collections.abc import Callable, Sequence

from aiohttp import web

from agents.metrics import Metrics
from common.clock import boottime
from common.wire import WireObservation

_STOP_WITHIN_S = 0.5
_METRICS_TYPE = "text/plain; version=0.0.4; charset=utf-8"


class Server:
    """Listens until stopped."""

    def __init__(
        self,
        node: str,
        boot_id: str,
        version: str,
        metrics: Metrics,
        observations: Callable[[], Sequence[WireObservation]],
        answer_age_s: Callable[[], float | None],
    ) -> None:
        self.port = 0
        self._who: dict[str, object] = {"node": node, "boot_id": boot_id, "version": version}
        self._metrics = metrics
        self._observations = observations
        self._answer_age_s = answer_age_s
        app = web.Application()
        app.router.add_get("/healthz", self._healthz)
        app.router.add_get("/metrics", self._metrics_page)
        app.router.add_get("/observations", self._observations_page)
        self._runner = web.AppRunner(
            app, access_log=None, handle_signals=False, shutdown_timeout=_STOP_WITHIN_S
        )

    async def start(self, host: str, port: int) -> None:
        """Listen; `self.port` is the real port, also when 0 was asked for. Raises `OSError`."""
        await self._runner.setup()
        await web.TCPSite(self._runner, host, port).start()
        self.port = self._runner.addresses[0][1]

    async def stop(self) -> None:
        """Close every connection."""
        await self._runner.cleanup()

    async def _healthz(self, _request: web.Request) -> web.Response:
        health = {
            **self._who,
            "uptime_s": round(boottime(), 3),
            "last_beat_age_s": _rounded(self._answer_age_s()),
        }
        return web.json_response(health)

    async def _metrics_page(self, _request: web.Request) -> web.Response:
        return web.Response(body=self._metrics.text(), headers={"Content-Type": _METRICS_TYPE})

    async def _observations_page(self, _request: web.Request) -> web.Response:
        seen = [observation.model_dump(mode="json") for observation in self._observations()]
        return web.json_response({**self._who, "observations": seen})


def _rounded(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds, 3)
