"""Where everything is joined: settings in, a running supervisor out. The app is embeddable."""

import secrets
from dataclasses import replace

from common import clock, sd_notify
from common.fleet.progress import Limits
from common.tasks import run_until_one_ends
from common.topology import Cluster
from common.wire import Heartbeat
from supervisor.actuators.agent_commands import AgentCommands
from supervisor.actuators.power.choice import driver_of, files_of
from supervisor.actuators.power.orders import Reconciled, outlets_of
from supervisor.actuators.power.pace import pace_of
from supervisor.actuators.power.service import PowerService
from supervisor.actuators.power.settings import PowerSettings
from supervisor.actuators.ssh import SshActuator
from supervisor.api import operators
from supervisor.api.backend import Backend
from supervisor.api.connections import Connections
from supervisor.api.feed import Feed
from supervisor.api.heartbeat import HeartbeatApp, ReplyContent
from supervisor.api.server import ApiServer, bind
from supervisor.api.sessions import Sessions
from supervisor.core.effects import Note, NoteKind
from supervisor.core.events import ActionEnded, Beat, Disconnected, Event, Result
from supervisor.core.medic import Medic
from supervisor.core.policy import Policy
from supervisor.daemon.acting import Hands
from supervisor.daemon.engine import Engine
from supervisor.daemon.fence_path import FencePathCheck
from supervisor.daemon.memory import Memory, StoredHistory
from supervisor.daemon.plan import Plan, load_plan
from supervisor.daemon.term import Term
from supervisor.daemon.witnesses import Witnesses
from supervisor.journal.journal import Journal
from supervisor.senses.addresses import AddressSense
from supervisor.senses.reach import ReachSense
from supervisor.senses.ssh_banner import SshBannerSense
from supervisor.senses.switch import SwitchSense
from supervisor.settings import Settings


class Supervisor:
    """Everything, joined. `run()` serves until cancelled, or until any part of it ends."""

    def __init__(self, settings: Settings) -> None:
        """Load, open and bind everything; raises what a person must mend, with its place.

        Raises `ConfigError`, `KeyFileError`, `TokensError`, `JournalError` or `ListenError`.
        """
        self._settings = settings
        plan = load_plan(settings)
        self._cluster = plan.cluster
        self._journal = Journal(settings.supervisor.state_dir)
        self._sockets = bind(settings.supervisor.listen)
        self._ready = False
        self._term = Term(self._journal.state)
        self._feed = Feed()
        self._agents = AgentCommands()
        self._witnesses = Witnesses()
        self._power = power_service(settings, self._journal, self._cluster)
        hands = Hands(
            self._agents, ssh_actuator(settings, self._cluster), self._power, settings.switch.off_s
        )
        memory = Memory(self._journal)
        now = clock.boottime()
        self._pace = pace_of(settings, len(self._cluster.nodes))
        policy = replace(policy_of(settings), port_ttl_s=self._pace.port_ttl_s)
        medic = Medic(self._cluster, plan.runbooks, policy, now, memory.restore(now))
        self._engine = Engine(medic, memory, hands.perform, self._feed.publish)
        self._switch = SwitchSense(
            self._power.look,
            self._pace.every_s,
            self._pace.look_s,
            self._pace.urgent_every_s,
            self._pace.tells_delivery,
        )
        self._fence_path = _fence_path(settings, self._power, self._journal, self._cluster)
        self._server = self._make_server(plan, memory)

    async def run(self) -> None:
        """Serve. Any root task that ends, ends all: systemd starts us anew."""
        nodes, senses = list(self._cluster), self._settings.senses
        bind_to = self._settings.supervisor.bind
        ssh = SshBannerSense(senses.ssh_every_s, senses.timeout_s, bind_to)
        addresses = AddressSense(self._power.macs, senses.addresses_every_s, self._pace.look_s)
        reach = ReachSense(senses.reach_every_s, senses.timeout_s, bind_to, senses.icmp)
        self._say_started()
        try:
            await run_until_one_ends(
                {
                    "scribe": self._engine.write_down(),
                    "clock": self._engine.tick(self._alive),
                    "server": self._server.run(),
                    "power": self._power.run(self._power_story),
                    "sense ssh": ssh.run(nodes, self._tell),
                    "sense reach": reach.run(nodes, self._tell),
                    "sense addresses": addresses.run(nodes, self._tell),
                    "fence path": self._fence_path.run(self._tell),
                    "sense switch": self._switch.run(nodes, self._tell),
                }
            )
        finally:
            sd_notify.notify("STOPPING=1")
            await self._power.aclose()
            self._journal.close()

    # --- between the parts --------------------------------------------------------------------

    def _deliver(self, beat: Heartbeat) -> ReplyContent:
        """Take a heartbeat in; return what its reply carries."""
        interval = self._settings.heartbeat.interval_s
        observations = tuple(o.observed_of(beat.node) for o in beat.observations)
        self._engine.tell(Beat(beat.node, beat.boot_id, beat.uptime_s, interval, observations))
        commands, acknowledged = self._agents.exchange(beat)
        notes, journal_acknowledged = self._witnesses.take(beat)
        self._engine.enqueue(notes)
        return ReplyContent(interval, commands, acknowledged, journal_acknowledged)

    def _tell(self, event: Event) -> None:
        self._engine.tell(event)

    def _alive(self) -> None:
        """Called at each turn of the loop: the watchdog is fed only while it really turns."""
        if self._engine.is_uneasy():
            self._switch.hurry()
        if not self._ready and self._server.started:
            self._ready = True
            sd_notify.notify("READY=1")
        sd_notify.notify("WATCHDOG=1")

    def _say_started(self) -> None:
        text = f"supervisor started, term {self._term.value}, {len(self._cluster.nodes)} nodes"
        data = {"term": self._term.value}
        self._engine.enqueue([Note(NoteKind.SUPERVISOR_STARTED, text, None, None, data)])

    def _power_story(self, done: Reconciled) -> None:
        """A power act that was cut short has been brought to its end."""
        data = {"op": done.op_id, "port": done.port, "action": done.action_id}
        self._engine.enqueue([Note(NoteKind.POWER, done.story, done.node, None, data)])
        if done.action_id:
            self._engine.tell(ActionEnded(done.action_id, Result.UNKNOWN, done.story))

    def _make_server(self, plan: Plan, memory: Memory) -> ApiServer:
        connections = Connections(lambda node: self._tell(Disconnected(node)))
        heartbeat = HeartbeatApp(
            plan.keys,
            self._deliver,
            Sessions(lambda: secrets.token_hex(16)),
            connections,
            term=lambda: self._term.value,
            saw_term=self._term.saw,
        )
        backend = Backend(
            cluster=self._cluster,
            status=self._engine.status,
            submit=self._engine.submit,
            tokens=plan.tokens,
            feed=self._feed,
            history=StoredHistory(memory),
            heartbeats=heartbeat.counts,
            ready=lambda: self._ready,
            runbooks=[runbook.name for runbook in plan.runbooks],
            starts=starts_of(self._settings),
        )
        app = operators.build(backend)
        return ApiServer(self._sockets, heartbeat, app, connections, closing=self._feed.close)


def policy_of(settings: Settings) -> Policy:
    """Return what the settings mean for the core."""
    rails = settings.rails
    return Policy(
        beat_interval_s=settings.heartbeat.interval_s,
        max_unavailable=rails.max_unavailable,
        storm_fraction=rails.storm_fraction,
        warm_up_s=rails.warm_up_s,
        first_beat_s=settings.heartbeat.first_beat_s,
        boot_grace_s=rails.boot_grace_s,
        cool_down_s=rails.cool_down_s,
        stagger_s=settings.switch.stagger_s,
        max_booting=settings.switch.max_booting,
    )


def _fence_path(
    settings: Settings, power: PowerService, journal: Journal, cluster: Cluster
) -> FencePathCheck:
    held = settings.credentials
    files = (*files_of(settings), held.nodes_key, held.nodes_known_hosts)
    deadline = pace_of(settings, len(cluster.nodes)).look_s
    return FencePathCheck(power, journal.state, files, list(cluster), deadline)


def starts_of(settings: Settings) -> Limits:
    """Return how many nodes may start, and how fast one after the other."""
    return Limits(settings.switch.stagger_s, settings.switch.max_booting)


def ssh_actuator(settings: Settings, cluster: Cluster) -> SshActuator:
    """Join the hands that reach nodes over ssh."""
    return SshActuator(
        cluster.nodes,
        settings.credentials.nodes_key,
        settings.credentials.nodes_known_hosts,
        settings.supervisor.bind,
    )


def power_service(settings: Settings, journal: Journal, cluster: Cluster) -> PowerService:
    """Join the inventory's switch, its driver and the journal."""
    driver, patience = driver_of(settings, cluster), patience_of(settings, cluster)
    return PowerService(driver, journal, outlets_of(cluster), patience)


def patience_of(settings: Settings, cluster: Cluster) -> PowerSettings:
    """Return how long the chosen switch may take for what."""
    given, pace = settings.switch, pace_of(settings, len(cluster.nodes))
    return PowerSettings(
        default_off_s=given.off_s,
        min_off_s=min(given.off_s, PowerSettings().min_off_s),
        status_s=pace.look_s,
        command_s=pace.command_s,
        cycle_margin_s=2 * pace.command_s + given.verify_timeout_s,
        cool_down_s=settings.rails.cool_down_s,
    )
