"""GET /metrics: made anew from a snapshot at each scrape, so nothing can drift from the status.

Every series that can exist is there from the start, at zero; labels come from the inventory
and from our own vocabulary, never from what a client sends.
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from importlib.metadata import PackageNotFoundError, version

from prometheus_client import CollectorRegistry, ProcessCollector, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, InfoMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from common import clock
from common.observations import Truth
from supervisor.api.backend import Backend
from supervisor.core.effects import Treatment
from supervisor.core.events import OverrideKind, Result
from supervisor.core.liveness import Verdict
from supervisor.core.status import IncidentState, Status

_MOST_CONDITIONS = 64


def package_version() -> str:
    """Return the installed version of this product."""
    try:
        return version("pimedic")
    except PackageNotFoundError:
        return "unknown"


def render(backend: Backend) -> bytes:
    """Render the exposition, in Prometheus's text format."""
    registry = CollectorRegistry()
    registry.register(_Snapshot(backend))
    ProcessCollector(registry=registry)
    return generate_latest(registry)


class _Snapshot(Collector):
    """One scrape's worth of metrics."""

    def __init__(self, backend: Backend) -> None:
        self._backend = backend

    def describe(self) -> Iterable[Metric]:
        """Say nothing: the names are known only after a look, and nobody else uses ours."""
        return ()

    def collect(self) -> Iterable[Metric]:
        status = self._backend.status()
        yield InfoMetricFamily(
            "pimedic_build", "The supervisor's version.", {"version": package_version()}
        )
        yield from _nodes(status, clock.wall_ns() / 1e9)
        yield from _incidents(status)
        yield from _acts(status)
        yield from _fence_path(status, clock.wall_ns() / 1e9)
        yield _counter(
            "pimedic_heartbeats",
            "Requests on the heartbeat path, by how they ended.",
            "result",
            self._backend.heartbeats,
        )
        kinds = Counter(override.kind for override in status.overrides)
        yield _gauge(
            "pimedic_override_active",
            "Overrides in force.",
            "kind",
            {kind.value: kinds[kind] for kind in OverrideKind},
        )


def _nodes(status: Status, wall_s: float) -> Iterable[Metric]:
    info = InfoMetricFamily("pimedic_node", "The inventory.", labels=("node", "role", "port"))
    up = GaugeMetricFamily(
        "pimedic_node_up", "1 while the node's heartbeats come.", labels=["node"]
    )
    condition = GaugeMetricFamily(
        "pimedic_node_condition",
        "1 if the condition is held true of the node, 0 if false; absent while unknown.",
        labels=("node", "kind"),
    )
    beat = GaugeMetricFamily(
        "pimedic_last_heartbeat_timestamp_seconds",
        "When the node's last heartbeat came; absent before the first.",
        labels=["node"],
    )
    for node in status.nodes:
        info.add_metric((node.name, node.role, str(node.port)), {})
        up.add_metric([node.name], float(node.verdict is Verdict.ALIVE))
        if node.beat_age_s is not None:
            beat.add_metric([node.name], wall_s - node.beat_age_s)
        for one in node.conditions[:_MOST_CONDITIONS]:  # agents may name kinds of their own
            if one.status is not Truth.UNKNOWN:
                condition.add_metric((node.name, one.kind), float(one.status is Truth.TRUE))
    yield from (info, up, condition, beat)


def _incidents(status: Status) -> Iterable[Metric]:
    states = Counter(incident.state for incident in status.incidents)
    yield _gauge(
        "pimedic_incidents",
        "Incidents now, by state.",
        "state",
        {state.value: states[state] for state in IncidentState},
    )
    reached = {state.value: status.incidents_total.get(state, 0) for state in IncidentState}
    text = "How often an incident reached this state."
    yield _counter("pimedic_incidents_reached", text, "state", reached)
    if status.switch_reachable is not Truth.UNKNOWN:
        reachable = float(status.switch_reachable is Truth.TRUE)
        yield GaugeMetricFamily(
            "pimedic_switch_reachable", "1 while the switch answers.", value=reachable
        )


def _fence_path(status: Status, wall_s: float) -> Iterable[Metric]:
    path = status.fence_path
    if path is None:
        return
    if path.ok is not Truth.UNKNOWN:
        text = "1 if all that a power act needs was found good, 0 if not, at the last check."
        yield GaugeMetricFamily("pimedic_fence_path_ok", text, value=path.ok is Truth.TRUE)
    text = "When all that a power act needs was last checked."
    at = wall_s - path.age_s
    yield GaugeMetricFamily("pimedic_fence_path_checked_timestamp_seconds", text, value=at)
    if path.ok_age_s is not None:
        text = "When all that a power act needs was last found good; absent if it never was."
        at = wall_s - path.ok_age_s
        yield GaugeMetricFamily("pimedic_fence_path_success_timestamp_seconds", text, value=at)


def _acts(status: Status) -> Iterable[Metric]:
    actions = CounterMetricFamily(
        "pimedic_actions", "Actions ended, by result.", labels=("treatment", "result")
    )
    known = dict.fromkeys(((str(t), str(r)) for t in Treatment for r in Result), 0)
    for (treatment, result), times in {**known, **status.actions}.items():
        actions.add_metric((treatment, result), times)
    yield actions
    text = "Actions that a rail held back."
    yield _counter("pimedic_refusals", text, "rail", status.refusals)


def _gauge(name: str, text: str, label: str, values: Mapping[str, float]) -> Metric:
    family = GaugeMetricFamily(name, text, labels=[label])
    for key, value in values.items():
        family.add_metric([key], value)
    return family


def _counter(name: str, text: str, label: str, values: Mapping[str, float]) -> Metric:
    family = CounterMetricFamily(name, text, labels=[label])
    for key, value in values.items():
        family.add_metric([key], value)
    return family
