"""What anybody may read: status, nodes, incidents, timeline, metrics, health."""

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Header, Query, Request, Response
from fastapi.responses import HTMLResponse, JSONResponse, PlainTextResponse, StreamingResponse
from prometheus_client import CONTENT_TYPE_LATEST

from supervisor.api import metrics, page
from supervisor.api.backend import Backend
from supervisor.api.feed import FullError
from supervisor.api.negotiation import Format, preferred
from supervisor.api.problems import ProblemError
from supervisor.api.schema import SCHEMA, incident_json, node_json, ports_json, status_json
from supervisor.api.stream import events
from supervisor.api.text import status_text

_NEGOTIATED = {"Vary": "Accept"}
_STORED_INCIDENTS = 100
_MOST_ENTRIES = 500


def router(backend: Backend) -> APIRouter:
    """Build the routes."""
    routes = APIRouter()
    routes.include_router(_pictures(backend))
    routes.include_router(_nodes(backend))
    routes.include_router(_incidents(backend))
    routes.include_router(_timeline(backend))
    routes.include_router(_health(backend))
    return routes


def _pictures(backend: Backend) -> APIRouter:
    routes = APIRouter()

    def shown(form: Format) -> Response:
        status = backend.status()
        if form == "json":
            return JSONResponse(status_json(status), headers=_NEGOTIATED)
        if form == "text":
            return PlainTextResponse(status_text(status), headers=_NEGOTIATED)
        body = page.status_page(status, backend.cluster.name)
        return HTMLResponse(body, headers=_NEGOTIATED | page.HEADERS)

    @routes.get("/status", response_class=Response)
    async def get_status(
        request: Request, form: Annotated[Format | None, Query(alias="format")] = None
    ) -> Response:
        """Tell how the cluster is: text for curl, JSON for programs, a page for browsers."""
        return shown(form or preferred(request.headers.get("accept", "")))

    @routes.get("/", response_class=Response)
    async def get_page() -> Response:
        """Show the status to people."""
        return shown("html")

    @routes.get("/metrics", response_class=Response)
    async def get_metrics() -> Response:
        """Tell Prometheus."""
        headers = {"Content-Type": CONTENT_TYPE_LATEST}
        return Response(metrics.render(backend), headers=headers)

    return routes


def _nodes(backend: Backend) -> APIRouter:
    routes = APIRouter(prefix="/v1")

    @routes.get("/nodes")
    async def get_nodes() -> dict[str, Any]:
        """List every node."""
        return {
            "schema": SCHEMA,
            "nodes": {node.name: node_json(node) for node in backend.status().nodes},
        }

    @routes.get("/ports")
    async def get_ports() -> dict[str, Any]:
        """Tell of each node's switch port: its power, and what was done to it last."""
        return ports_json(backend.status(), backend.cluster, backend.starts)

    @routes.get("/nodes/{name}")
    async def get_node(name: str) -> dict[str, Any]:
        """Tell of one node; old spellings of its name are understood."""
        wanted = node_named(backend, name)
        for node in backend.status().nodes:
            if node.name == wanted:
                return {"schema": SCHEMA, "name": node.name, **node_json(node)}
        raise ProblemError(404, f"nothing is known yet of {wanted}")

    return routes


def _incidents(backend: Backend) -> APIRouter:
    routes = APIRouter(prefix="/v1")

    @routes.get("/incidents")
    async def get_incidents() -> dict[str, Any]:
        """List the open incidents, then the newest stored ones."""
        current = [incident_json(one) for one in backend.status().incidents]
        known = {one["id"] for one in current}
        stored = await backend.history.incidents(_STORED_INCIDENTS)
        past = [dict(one) for one in stored if one["id"] not in known]
        return {"schema": SCHEMA, "incidents": current + past}

    @routes.get("/incidents/{incident_id}")
    async def get_incident(incident_id: str) -> dict[str, Any]:
        """Tell of one incident, open or closed."""
        stored = dict(await backend.history.incident(incident_id) or {})
        for one in backend.status().incidents:
            if one.id == incident_id:
                return {"schema": SCHEMA, **stored, **incident_json(one)}
        if not stored:
            raise ProblemError(404, f"no incident {incident_id!r}")
        return {"schema": SCHEMA, **stored}

    return routes


def _timeline(backend: Backend) -> APIRouter:
    routes = APIRouter(prefix="/v1")

    @routes.get("/timeline")
    async def get_timeline(
        since: Annotated[int | None, Query(ge=0, lt=2**63)] = None,
        limit: Annotated[int, Query(ge=1, le=_MOST_ENTRIES)] = 100,
    ) -> dict[str, Any]:
        """List the timeline after the entry `since`, oldest first; else its newest entries."""
        if since is None:
            entries = await backend.history.latest(limit)
        else:
            entries = await backend.history.entries(since, limit)
        return {"schema": SCHEMA, "entries": [dict(entry) for entry in entries]}

    @routes.get("/events", response_class=StreamingResponse)
    async def get_events(
        since: Annotated[int | None, Query(ge=0)] = None,
        last_event_id: Annotated[int | None, Header(ge=0)] = None,
    ) -> StreamingResponse:
        """Stream the timeline; `Last-Event-ID` or `since` replays what came after that number."""
        try:
            reader = backend.feed.join()
        except FullError:
            headers = {"Retry-After": "5"}
            raise ProblemError(503, "too many readers of the timeline", headers=headers) from None
        start = since if last_event_id is None else last_event_id
        return StreamingResponse(
            events(backend, reader, start),
            media_type="text/event-stream",
            headers={"X-Accel-Buffering": "no"},
        )

    return routes


def _health(backend: Backend) -> APIRouter:
    routes = APIRouter()

    @routes.get("/healthz", response_class=PlainTextResponse)
    async def get_healthz() -> Literal["ok\n"]:
        """Answer as long as the process can."""
        return "ok\n"

    @routes.get("/readyz", response_class=PlainTextResponse)
    async def get_readyz() -> Literal["ok\n"]:
        """Answer 200 once the supervisor can do its work."""
        if not backend.ready():
            raise ProblemError(503, "still starting", headers={"Retry-After": "1"})
        return "ok\n"

    return routes


def node_named(backend: Backend, name: str) -> str:
    """Return the inventory's name for any accepted spelling. Raises `ProblemError` 404."""
    node = backend.cluster.resolve(name)
    if node is None:
        raise ProblemError(404, f"no node {name!r} in the inventory")
    return node.name
