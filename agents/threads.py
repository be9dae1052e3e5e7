"""Blocking calls, each in a daemon thread of its own.

Not an executor: a pool runs dry once a stalled disk holds all its threads, and Python waits
for executor threads at exit. A daemon thread that never returns costs its stack and no more.
Callers must keep at most one outstanding call per thing looked at.
"""

import asyncio
import threading
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


def in_thread(function: Callable[[], T], name: str) -> asyncio.Future[T]:
    """Start `function` in a thread; the future ends with its result or its error."""
    loop = asyncio.get_running_loop()
    future: asyncio.Future[T] = loop.create_future()

    def settle(result: T | None, error: BaseException | None) -> None:
        if future.done():
            return
        if error is None:
            future.set_result(result)  # type: ignore[arg-type]  # no error: T it is
        else:
            future.set_exception(error)

    def work() -> None:
        result, failure = None, None
        try:
            result = function()
        except Exception as error:  # noqa: BLE001 - carried over to the awaiting task
            failure = error
        try:
            loop.call_soon_threadsafe(settle, result, failure)
        except RuntimeError:
            return  # the loop closed meanwhile: nobody waits any more

    threading.Thread(target=work, name=name, daemon=True).start()
    return future
