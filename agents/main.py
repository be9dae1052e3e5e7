"""`pimedic-agent`: flags and signals only; `agents.app` is the agent."""

import asyncio
import signal
import sys
from collections.abc import Sequence

import structlog

from agents.app import App
from agents.flags import Parser, settings_from
from agents.settings import Settings
from common.log import configure
from common.signing import KeyFileError, load_key

_LAST_RESORT_S = 2


def main(argv: Sequence[str] | None = None) -> int:
    """Run the agent until SIGTERM or SIGINT.

    Exit status: 0 stopped, 1 failed, 2 something it was told to use can't be used.
    """
    parser = Parser()
    flags = parser.parse_args(argv)
    settings = settings_from(flags)
    try:
        key = load_key(flags.key_file or parser.default_key_file())
    except KeyFileError as error:
        parser.error(f"argument --key-file: {error}")
    configure(pretty=flags.log_pretty)
    try:
        asyncio.run(_run(parser, settings, key))
    except OSError as error:
        structlog.get_logger(__name__).error("agent_failed", error=str(error))
        return 1
    return 0


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
