"""Opens the direct way, or says in one line why that can't be."""

import getpass
import logging
import math
import os
import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import structlog

from common import clock
from common.fleet.orders import NoWayError
from common.inventory import load_cluster
from common.toml_files import ConfigError
from common.topology import Cluster
from supervisor.actuators.agent_commands import AgentCommands
from supervisor.core.medic import Medic, Restored
from supervisor.daemon.acting import Hands
from supervisor.daemon.assembly import policy_of, power_service, ssh_actuator, starts_of
from supervisor.daemon.engine import Engine
from supervisor.daemon.memory import Memory
from supervisor.direct.look import Look
from supervisor.direct.way import DirectWay
from supervisor.journal.errors import JournalError, JournalInUseError
from supervisor.journal.journal import Journal
from supervisor.senses.ssh_banner import SshBannerSense
from supervisor.settings import Settings, load_settings


async def open_direct(config: Path) -> tuple[DirectWay, str]:
    """Open the way with the settings in `config`; also say what of old business is left.

    Raises `NoWayError`, in particular while a supervisor holds the journal.
    """
    quiet_logs()
    settings, cluster = read(config)
    try:
        journal = Journal(settings.supervisor.state_dir)
    except JournalInUseError as error:
        raise NoWayError(
            f"the supervisor (process {error.holder}) doesn't answer, but it runs and holds"
            f" {error.path}: acting beside it is not safe. If it hangs, stop it first"
            f" (systemctl stop pimedic-supervisor, or kill {error.holder}) and repeat;"
            " what it had begun is finished then"
        ) from None
    except JournalError as error:
        raise NoWayError(str(error)) from None
    way = _join(settings, cluster, journal)
    return way, await way.begin()


def read(config: Path) -> tuple[Settings, Cluster]:
    """Read what acting takes: settings, inventory, and the switch's credentials to be there.

    Raises `NoWayError`.
    """
    if not os.access(config, os.R_OK):
        raise NoWayError(
            f"{config} can't be read: the direct way is open on the supervisor's machine"
            " (pi_backup), to whoever may read its credentials (root)"
        )
    try:
        settings = load_settings(config)
        cluster = load_cluster(settings.supervisor.inventory)
    except ConfigError as error:
        raise NoWayError(str(error), 2) from None
    for file in _credentials(settings):
        if not os.access(file, os.R_OK):
            raise NoWayError(f"{file} can't be read: acting on the switch takes root, here")
    return settings, cluster


def _credentials(settings: Settings) -> tuple[Path, ...]:
    given = settings.credentials
    match settings.switch.driver:
        case "swctrl":
            return given.switch_key, given.switch_known_hosts
        case "fence" if settings.switch.fence and not settings.switch.fence.login:
            return ()
        case _:
            return (given.switch_login,)


def _join(settings: Settings, cluster: Cluster, journal: Journal) -> DirectWay:
    power = power_service(settings, journal, cluster)
    memory = Memory(journal)
    now = clock.boottime()
    kept = memory.restore(now)
    # Incidents are the daemon's: without runbooks they would be closed here.
    restored = Restored((), kept.actions, kept.overrides, kept.next_incident)
    # Between two orders of a person lies any time: that is no sleep to doubt ourselves for.
    policy = replace(policy_of(settings), nap_s=math.inf)
    medic = Medic(cluster, (), policy, now, restored)
    hands = Hands(AgentCommands(), ssh_actuator(settings, cluster), power, settings.switch.off_s)
    senses, bind = settings.senses, settings.supervisor.bind
    banner = SshBannerSense(senses.ssh_every_s, senses.timeout_s, bind)
    look = Look(cluster, power, banner, starts_of(settings))
    published: list[Any] = []

    def publish(entry: Mapping[str, Any]) -> None:
        published[0].publish(entry)

    way = DirectWay(Engine(medic, memory, hands.perform, publish), power, journal, look, _author())
    published.append(way)
    return way


def _author() -> str:
    """Return who is at the keyboard; sudo keeps the name."""
    return os.environ.get("SUDO_USER") or getpass.getuser()


def quiet_logs() -> None:
    """Only what is wrong, on stderr: the operation is told on the screen and in the journal."""
    structlog.configure(
        wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR),
        logger_factory=structlog.PrintLoggerFactory(file=sys.stderr),
    )
