"""The whole agent as one object that can be started and stopped, also inside a test."""

import asyncio
from collections.abc import Sequence
from importlib.metadata import version

import structlog

from agents import catalogue
from agents.autonomy import Alone, act_alone
from agents.clock_offset import ClockOffset
from agents.command_journal import CommandJournal
from agents.commands import Commands
from agents.current_observations import CurrentObservations
from agents.detector import Detector
from agents.disk import Disk
from agents.heartbeat import Heartbeats
from agents.link import Link
from agents.logbook import Logbook
from agents.metrics import Metrics
from agents.programs import Programs
from agents.runner import Runner
from agents.server import Server
from agents.session import Session
from agents.settings import Settings
from agents.systemctl import Systemctl
from common.clock import boot_id, boottime
from common.observations import Truth
from common.sd_notify import notify, watchdog_interval_s
from common.signing import NodeKeys
from common.tasks import run_until_one_ends
from common.wire import WireObservation

_log = structlog.get_logger(__name__)
_STOP_WITHIN_S = 1.0
_TOLERATED_LATENESS_S = 5.0


class App:
    """One node's agent. Make it inside a running loop, `run` it once, `stop` it from anywhere."""

    def __init__(
        self, settings: Settings, master_key: bytes, detectors: Sequence[Detector] | None = None
    ) -> None:
        """Take `detectors` in place of the catalogue's, if given.

        Reads the boot id and this boot's commands. Raises `OSError`.
        """
        self._settings = settings
        self._stopping = asyncio.Event()
        self.started = asyncio.Event()
        boot = boot_id(settings.procfs)
        release = version("pimedic")
        clock = ClockOffset()
        logbook = self._logbook = Logbook()
        self._current = CurrentObservations(self._changed)
        self._metrics = Metrics(release, in_memory=settings.host is not None)
        self._programs = Programs()
        self._disk = Disk(settings.rootfs)
        systemctl = Systemctl(self._programs, settings.systemctl)
        settings.run.mkdir(mode=0o700, parents=True, exist_ok=True)
        if detectors is None:
            detectors = catalogue.detectors(
                settings, systemctl, self._disk, lambda: clock.estimate(boottime())
            )
        self._runner = Runner(detectors, self._current, self._metrics)
        journal = CommandJournal(settings.run, boot)
        treatments = catalogue.treatments(settings, systemctl)
        self._commands = Commands(
            treatments,
            journal,
            self._metrics,
            stalled=lambda: self._current.why("root_stalled"),
            on_end=self._treated,
        )
        self._alone = Alone(settings.autonomy, settings.autonomy_after_s)
        self._link = Link(settings.bind)
        self._heartbeats = Heartbeats(
            settings.supervisors,
            settings.interval_s,
            Session(settings.node, boot, NodeKeys.derive(master_key, settings.node), release),
            self._link,
            self._current,
            self._commands,
            clock,
            self._metrics,
            logbook,
        )
        answer_age_s = self._heartbeats.answer_age_s
        self._metrics.show(
            self._observations, lambda: clock.estimate(boottime()), answer_age_s, logbook
        )
        self._server = Server(
            settings.node, boot, release, self._metrics, self._observations, answer_age_s
        )

    @property
    def port(self) -> int:
        """Where the server listens, once `started` is set."""
        return self._server.port

    def stop(self) -> None:
        """Ask `run` to end; it does within about two seconds."""
        self._stopping.set()

    async def run(self) -> None:
        """Run until stopped, or until a part of the agent ends. Raises `OSError` on its port."""
        try:
            await self._server.start(self._settings.listen_host, self._settings.listen_port)
            _log.info("agent_started", node=self._settings.node, port=self.port)
            notify("READY=1")
            self.started.set()
            work = {
                "stop": self._stopping.wait(),
                "detectors": self._runner.run(),
                "heartbeat": self._heartbeats.run(),
                "commands": self._commands.run(),
                "autonomy": act_alone(
                    self._alone, self._logbook, self._observations, self._commands.carry_out
                ),
                "watchdog": self._feed_watchdog(),
            }
            await run_until_one_ends(work, grace_s=_STOP_WITHIN_S)
        finally:
            notify("STOPPING=1")
            self._programs.end()
            self._disk.close()
            await self._server.stop()
            await self._link.aclose()

    def _observations(self) -> tuple[WireObservation, ...]:
        return self._current.snapshot(boottime())

    def _changed(self, now: float, seen: WireObservation, before: Truth | None) -> None:
        self._logbook.changed(now, seen, before)
        self._heartbeats.hurry()

    def _treated(self, now: float, kind: str, text: str) -> None:
        self._logbook.note(now, kind, text)
        self._heartbeats.hurry()

    async def _feed_watchdog(self) -> None:
        """Tell systemd that we live, but only while both loops really turn."""
        interval_s = watchdog_interval_s()
        while True:
            now = boottime()
            late_s = max(self._heartbeats.overdue_s(now), self._runner.overdue_s(now))
            if late_s <= _TOLERATED_LATENESS_S:
                notify("WATCHDOG=1")
            else:
                _log.error("loop_stuck", late_s=round(late_s, 1))
            await asyncio.sleep(interval_s or 10.0)
