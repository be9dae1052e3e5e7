"""`pimedic-agent`: flags and signals only; `agents.app` is the agent."""

import argparse
import asyncio
import signal
import sys
from collections.abc import Sequence

import structlog

from agents.app import App
from agents.flags import Parser, settings_from
from agents.memory import lock
from agents.ram.host import Host, at
from agents.settings import Settings
from common.log import configure
from common.signing import KeyFileError, load_key

_LAST_RESORT_S = 2


def main(argv: Sequence[str] | None = None, mounts: int | None = None) -> int:
    """Run the agent until SIGTERM or SIGINT. `mounts` is given when it runs from memory.

    Exit status: 0 stopped, 1 failed, 2 something it was told to use can't be used.
    """
    parser = Parser()
    flags = parser.parse_args(argv)
    configure(pretty=flags.log_pretty)
    host = None if mounts is None else Host(mounts)
    if flags.from_ram and host is None:
        _go_into_memory(flags, sys.argv[1:] if argv is None else argv)
    settings = settings_from(flags, host)
    if host and settings.units and not settings.bus:
        parser.error("argument --from-ram: needs --bus, for no program can be started in memory")
    try:
        key = load_key(at(host, flags.key_file or parser.default_key_file()))
    except KeyFileError as error:
        parser.error(f"argument --key-file: {error}")
    if host:
        lock()
    try:
        asyncio.run(_run(parser, settings, key))
    except OSError as error:
        structlog.get_logger(__name__).error("agent_failed", error=str(error))
        return 1
    return 0


def _go_into_memory(flags: argparse.Namespace, argv: Sequence[str]) -> None:
    """Start anew from memory; return if that can't be done, and say why."""
    from agents.ram.entry import NotInMemoryError, enter  # noqa: PLC0415 - no use after this

    try:
        enter(vars(flags)["path.run"] / "ram", argv)
    except NotInMemoryError as error:
        structlog.get_logger(__name__).warning("running_from_disk", reason=str(error))


async def _run(parser: Parser, settings: Settings, key: bytes) -> None:
    try:
        app = App(settings, key)
    except OSError as error:
        parser.error(f"argument --path.run or --path.procfs: {error}")

    def stop() -> None:
        signal.alarm(_LAST_RESORT_S)  # should we hang in stopping, the kernel ends us
        app.stop()

    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop)
    await app.run()


if __name__ == "__main__":
    sys.exit(main())
