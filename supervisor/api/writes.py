"""What needs a bearer token: overrides, treatments by hand, acknowledgements.

Nothing is done here: each request becomes an event for the core, which judges it. Cookies
mean nothing to us, so another site's page can't act in an operator's name; a request that
comes from another site's page is refused all the same.
"""

from collections.abc import Callable, Coroutine, Sequence
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from fastapi import APIRouter, Request, Response, Security
from fastapi.routing import APIRoute
from fastapi.security import HTTPBearer
from pydantic import BaseModel, ConfigDict, Field

from supervisor.api.backend import Backend
from supervisor.api.problems import ProblemError
from supervisor.api.reads import node_named
from supervisor.core.effects import Effect, Note, NoteKind, Treatment
from supervisor.core.events import (
    Acknowledged,
    ActRequested,
    Override,
    OverrideKind,
    OverrideLifted,
    OverrideSet,
)

Reason = Annotated[str, Field(min_length=1, max_length=200, pattern=r"\S")]
Word = Annotated[str, Field(min_length=1, max_length=64)]
_YEAR_S = 366 * 24 * 3600.0
Duration = Annotated[float, Field(gt=0, le=_YEAR_S)] | Literal["forever"]


class _Body(BaseModel):
    model_config = ConfigDict(extra="forbid")


class OverrideBody(_Body):
    """A person's word, above the runbooks."""

    kind: Literal[OverrideKind.PAUSE, OverrideKind.MAINTENANCE]
    scope: Word
    reason: Reason
    duration_s: Duration = 3600.0


class ActionBody(_Body):
    """A treatment by hand. It passes the rails, but for those named in `skip_rails`.

    `off_s` is how long a power cycle keeps the port off; `duration_s` when a port that is
    switched off comes on again.
    """

    treatment: Treatment
    reason: Reason
    arguments: Annotated[
        dict[Word, Annotated[str, Field(max_length=400)]], Field(max_length=16)
    ] = Field(default_factory=dict)
    protected: Annotated[bool, Field(strict=True)] = False
    skip_rails: Annotated[frozenset[Word], Field(max_length=16)] = frozenset()
    off_s: Annotated[float, Field(ge=1, le=30)] | None = None
    duration_s: Duration = 3600.0


def router(backend: Backend) -> APIRouter:
    """Build the routes; none of them can be reached without a token."""
    bearer = Security(HTTPBearer(auto_error=False, description="A token of the tokens file."))
    routes = APIRouter(prefix="/v1", route_class=_guarded(backend), dependencies=[bearer])
    _override_routes(routes, backend)
    _treatment_routes(routes, backend)
    return routes


def _override_routes(routes: APIRouter, backend: Backend) -> None:
    @routes.post("/overrides", status_code=201)
    async def post_override(
        request: Request, response: Response, body: OverrideBody
    ) -> dict[str, Any]:
        """Set an override."""
        forever = body.duration_s == "forever"
        override = Override(
            id=backend.new_id(),
            kind=body.kind,
            scope=_scope(backend, body.scope),
            author=request.state.author,
            reason=body.reason,
            until=_until(backend, body.duration_s),
        )
        await backend.submit(OverrideSet(override))
        response.headers["Location"] = f"/v1/overrides/{override.id}"
        return {
            "id": override.id,
            "kind": override.kind,
            "scope": override.scope,
            "author": override.author,
            "reason": override.reason,
            "remaining_s": None if forever else body.duration_s,
        }

    @routes.delete("/overrides/{override_id}", status_code=204)
    async def delete_override(request: Request, override_id: str) -> None:
        """Lift an override before its end."""
        if override_id not in {one.id for one in backend.status().overrides}:
            raise ProblemError(404, f"no override {override_id!r} in force")
        await backend.submit(OverrideLifted(override_id, request.state.author))


def _treatment_routes(routes: APIRouter, backend: Backend) -> None:
    @routes.post("/nodes/{name}/actions", status_code=202)
    async def post_action(request: Request, name: str, body: ActionBody) -> dict[str, Any]:
        """Ask for a treatment. 409 names the rails that refuse; what comes of it is told later."""
        asked = ActRequested(
            request_id=backend.new_id(),
            node=node_named(backend, name),
            treatment=body.treatment,
            author=request.state.author,
            reason=body.reason,
            arguments=_arguments(body),
            allow_protected=body.protected,
            skip=body.skip_rails,
            until=_end_of(backend, body),
        )
        _raise_refusals(await backend.submit(asked))
        return {
            "id": asked.request_id,
            "node": asked.node,
            "treatment": asked.treatment,
            "action": f"hand-{asked.request_id}",
        }

    @routes.post("/incidents/{incident_id}/ack")
    async def post_ack(request: Request, incident_id: str) -> dict[str, Any]:
        """Say that a person has seen this incident."""
        if incident_id not in {one.id for one in backend.status().incidents}:
            raise ProblemError(404, f"no open incident {incident_id!r}")
        await backend.submit(Acknowledged(incident_id, request.state.author))
        return {"id": incident_id, "acknowledged_by": request.state.author}


def _until(backend: Backend, duration_s: float | str) -> float | None:
    return None if duration_s == "forever" else backend.now() + float(duration_s)


def _end_of(backend: Backend, body: ActionBody) -> float | None:
    """Only being off lasts; every other treatment is over once it is given."""
    cuts = body.treatment is Treatment.POWER_OFF
    return _until(backend, body.duration_s) if cuts else None


def _arguments(body: ActionBody) -> dict[str, str]:
    return body.arguments if body.off_s is None else body.arguments | {"off_s": f"{body.off_s:g}"}


def _raise_refusals(effects: Sequence[Effect]) -> None:
    """Raise `ProblemError` 409 if the core refused, naming each rail and its reason."""
    refused = [e for e in effects if isinstance(e, Note) and e.kind is NoteKind.REFUSED]
    if refused:
        errors = [{"pointer": str(note.data["rail"]), "detail": note.text} for note in refused]
        detail = f"held back by {', '.join(str(note.data['rail']) for note in refused)}"
        raise ProblemError(409, detail, kind="refused", errors=errors)


def _guarded(backend: Backend) -> type[APIRoute]:
    """Make a kind of route that checks origin and token before it looks at anything else."""

    class GuardedRoute(APIRoute):
        def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
            inner = super().get_route_handler()

            async def handler(request: Request) -> Response:
                _same_site(request)
                client = request.client.host if request.client else ""
                authorization = request.headers.get("authorization")
                request.state.author = backend.tokens.author(authorization, client)
                return await inner(request)

            return handler

    return GuardedRoute


def _same_site(request: Request) -> None:
    """Refuse what another site's page sends. Programs send no Origin."""
    origin = request.headers.get("origin")
    if origin is not None and urlsplit(origin).netloc != request.headers.get("host"):
        raise ProblemError(403, "this request comes from another site's page", kind="cross_site")


def _scope(backend: Backend, scope: str) -> str:
    """Check a scope and spell its node as the inventory does. Raises `ProblemError` 422."""
    what, _, name = scope.partition(":")
    groups = {group for node in backend.cluster for group in node.groups}
    match what:
        case "all" if scope == "all":
            return scope
        case "node" if node := backend.cluster.resolve(name):
            return f"node:{node.name}"
        case "group" if name in groups:
            return scope
        case "runbook" if name and (name in backend.runbooks or not backend.runbooks):
            return scope
    raise ProblemError(
        422,
        f"expected all, node:NAME, group:NAME or runbook:NAME with a known name, found {scope!r}",
        kind="unknown_scope",
    )
