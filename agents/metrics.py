"""What the agent counts about itself, for /metrics: base units, known series from 0."""

import math
from collections.abc import Callable, Iterable

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    ProcessCollector,
    disable_created_metrics,
    generate_latest,
)
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from agents.clock_offset import Estimate
from agents.logbook import Logbook
from agents.session import Failure
from common.clock import boottime
from common.observations import Truth
from common.wire import WireObservation

ANSWERED, CHALLENGED = "answered", "challenged"  # outcomes of beats, beside `Failure`

_PREFIX = "pimedic_agent"
_VALUES = {Truth.TRUE: 1.0, Truth.FALSE: 0.0, Truth.UNKNOWN: math.nan}
_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.0)


class Metrics:
    """A registry of the agent's own: tests run several agents in one process."""

    def __init__(self, version: str, *, in_memory: bool = False) -> None:
        disable_created_metrics()  # type: ignore[no-untyped-call]
        self.registry = CollectorRegistry(auto_describe=False)
        build = self._gauge("build_info", "Always 1; the version is a label.", ("version",))
        build.labels(version).set(1)
        memory = self._gauge(
            "in_memory", "Whether it runs from memory, with no need of a disk.", ()
        )
        memory.set(in_memory)
        self.beats = self._counter("beats", "Heartbeats sent, by what came back.", ("outcome",))
        self.round_trip = Histogram(
            f"{_PREFIX}_beat_duration_seconds",
            "From sending a heartbeat to having its answer.",
            buckets=_SECONDS,
            registry=self.registry,
        )
        self.commands = self._counter("commands", "Commands ended, by result.", ("status",))
        self._looks = self._counter("looks", "Looks of detectors.", ("detector", "outcome"))
        self._look_time = self._gauge(
            "last_look_duration_seconds", "Duration of each detector's last look.", ("detector",)
        )
        for outcome in (ANSWERED, CHALLENGED, *Failure):
            self.beats.labels(outcome)
        for status in ("succeeded", "failed", "refused", "expired"):
            self.commands.labels(status)
        ProcessCollector(namespace=_PREFIX, registry=self.registry)

    def know_detectors(self, detectors: Iterable[str], outcomes: Iterable[str]) -> None:
        """Let the series of these detectors start at 0."""
        known = tuple(outcomes)
        for detector in detectors:
            for outcome in known:
                self._looks.labels(detector, outcome)

    def looked(self, detector: str, outcome: str, took_s: float) -> None:
        """Count one look."""
        self._looks.labels(detector, outcome).inc()
        self._look_time.labels(detector).set(took_s)

    def show(
        self,
        observations: Callable[[], Iterable[WireObservation]],
        clock: Callable[[], Estimate | None],
        answer_age_s: Callable[[], float | None],
        logbook: Logbook,
    ) -> None:
        """Add what is only worked out when somebody scrapes."""
        self.registry.register(_AtScrape(observations, clock, answer_age_s, logbook))

    def text(self) -> bytes:
        """Return the exposition, in the text format."""
        return generate_latest(self.registry)

    def _counter(self, name: str, text: str, labels: tuple[str, ...]) -> Counter:
        return Counter(f"{_PREFIX}_{name}", text, labels, registry=self.registry)

    def _gauge(self, name: str, text: str, labels: tuple[str, ...]) -> Gauge:
        return Gauge(f"{_PREFIX}_{name}", text, labels, registry=self.registry)


class _AtScrape(Collector):
    def __init__(
        self,
        observations: Callable[[], Iterable[WireObservation]],
        clock: Callable[[], Estimate | None],
        answer_age_s: Callable[[], float | None],
        logbook: Logbook,
    ) -> None:
        self._observations = observations
        self._clock = clock
        self._answer_age_s = answer_age_s
        self._logbook = logbook

    def collect(self) -> Iterable[GaugeMetricFamily]:
        conditions = GaugeMetricFamily(
            f"{_PREFIX}_observation",
            "What the agent holds true of its node: 1 true, 0 false, NaN unknown.",
            labels=("kind", "subject"),
        )
        for seen in self._observations():
            conditions.add_metric((seen.kind, seen.subject), _VALUES[seen.status])
        yield conditions
        age_s = self._answer_age_s()
        yield GaugeMetricFamily(
            f"{_PREFIX}_last_answer_age_seconds",
            "Since the supervisor's last verified answer; NaN before the first.",
            value=math.nan if age_s is None else age_s,
        )
        yield GaugeMetricFamily(
            f"{_PREFIX}_supervisor_silent_seconds",
            "Since the first beat in a row without a usable answer; 0 while it answers.",
            value=self._logbook.silent_s(boottime()),
        )
        yield GaugeMetricFamily(
            f"{_PREFIX}_journal_entries",
            "What was seen and done, and isn't yet known to the supervisor.",
            value=len(self._logbook),
        )
        estimate = self._clock()
        yield GaugeMetricFamily(
            f"{_PREFIX}_clock_offset_seconds",
            "How far the supervisor's clock is ahead of ours; NaN while not known.",
            value=estimate.offset_s if estimate else math.nan,
        )
        yield GaugeMetricFamily(
            f"{_PREFIX}_clock_offset_error_seconds",
            "Bound on the error of the clock's offset; NaN while not known.",
            value=estimate.error_s if estimate else math.nan,
        )
