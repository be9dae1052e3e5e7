"""`pimedic-supervisor`: parse flags, run, and turn mistakes into sentences."""

import argparse
import asyncio
import contextlib
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

import structlog

from common import log
from common.signing import KeyFileError
from common.toml_files import ConfigError
from supervisor.api.server import ListenError
from supervisor.api.tokens import TokensError
from supervisor.daemon.assembly import Supervisor
from supervisor.daemon.plan import load_plan
from supervisor.journal.errors import JournalError
from supervisor.settings import load_settings

_log = structlog.get_logger(__name__)
OK, FAILED, USAGE = 0, 1, 2


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the supervisor; return the exit code: 0 stopped, 1 failed, 2 usage or configuration."""
    flags = _parser().parse_args(arguments)
    log.configure(verbose=flags.verbose, pretty=flags.log_pretty)
    try:
        settings = load_settings(flags.config)
        if flags.check:
            plan = load_plan(settings)
            counts = f"{len(plan.cluster.nodes)} nodes, {len(plan.runbooks)} runbooks"
            print(f"{flags.config}: {counts}, good")
            return OK
        supervisor = Supervisor(settings)
    except (ConfigError, KeyFileError, TokensError) as error:
        print(error, file=sys.stderr)
        return USAGE
    except (JournalError, ListenError) as error:
        print(error, file=sys.stderr)
        return FAILED
    return asyncio.run(_until_stopped(supervisor))


async def _until_stopped(supervisor: Supervisor) -> int:
    """Run until a signal says stop (0) or a root task ends (1)."""
    loop = asyncio.get_running_loop()
    running = loop.create_task(supervisor.run(), name="supervisor")
    for signum in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(signum, running.cancel)
    with contextlib.suppress(asyncio.CancelledError):
        try:
            await running
        except Exception:  # noqa: BLE001 - logged whole; the exit code tells systemd
            _log.exception("supervisor_failed")
        return FAILED
    return OK


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="pimedic-supervisor", description="The medic of a Raspberry Pi cluster."
    )
    parser.add_argument("--config", type=Path, required=True, metavar="FILE", help="pimedic.toml")
    parser.add_argument("--check", action="store_true", help="check the configuration and stop")
    parser.add_argument("--verbose", action="store_true", help="log more")
    parser.add_argument("--log-pretty", action="store_true", help="logs for people, not JSON")
    return parser


if __name__ == "__main__":
    sys.exit(main())
