"""How the lab's commands end: with an exit code and, if need be, one line that says why."""

import asyncio
import functools
import signal
import sys
from collections.abc import Callable, Coroutine
from typing import Any, ParamSpec

from common.toml_files import ConfigError
from lab.errors import LabError, MisuseError

P = ParamSpec("P")
_FATAL = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def plainly(command: Callable[P, int | None]) -> Callable[P, int]:
    """Turn what the user should hear into a line on stderr: exit code 2 for misuse, else 1."""

    @functools.wraps(command)
    def wrapped(*args: P.args, **kwargs: P.kwargs) -> int:
        try:
            return command(*args, **kwargs) or 0
        except (LabError, ConfigError) as error:
            print(f"pimedic lab: {error}", file=sys.stderr)
            return 2 if isinstance(error, MisuseError | ConfigError) else 1

    return wrapped


def run(work: Coroutine[Any, Any, int]) -> int:
    """Run `work` until it ends or a signal says so; then return 128 plus the signal's number.

    The first signal cancels `work`, which clears up within bounded time; further ones change
    nothing, so that an impatient second Ctrl-C doesn't interrupt the clearing up.
    """
    return asyncio.run(_until_signalled(work))


async def _until_signalled(work: Coroutine[Any, Any, int]) -> int:
    loop, received = asyncio.get_running_loop(), list[int]()
    task = loop.create_task(work, name="command")

    def stop(number: int) -> None:
        if not received:
            task.cancel()
        received.append(number)

    for number in _FATAL:
        loop.add_signal_handler(number, stop, number)
    await asyncio.wait([task])
    if task.cancelled():
        return 128 + (received[0] if received else 0)
    return task.result()
