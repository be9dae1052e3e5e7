"""Named tasks whose end is never overlooked.

A daemon is a handful of root tasks that run for ever. Any of them ending, by failure or not,
ends the daemon: systemd restarts a dead process, but nobody notices a half-dead one.
"""

import asyncio
from collections.abc import Coroutine
from typing import Any

import structlog

_log = structlog.get_logger(__name__)
_background: set[asyncio.Task[Any]] = set()


def spawn(work: Coroutine[Any, Any, Any], name: str) -> asyncio.Task[Any]:
    """Start short-lived work in the background; its failure is logged, and it is never lost."""
    task = asyncio.get_running_loop().create_task(work, name=name)
    _background.add(task)
    task.add_done_callback(_finished)
    return task


def _finished(task: asyncio.Task[Any]) -> None:
    _background.discard(task)
    if not task.cancelled() and (error := task.exception()):
        _log.error("task_failed", task=task.get_name(), error=repr(error), exc_info=error)


async def run_until_one_ends(
    work: dict[str, Coroutine[Any, Any, Any]], grace_s: float = 5.0
) -> None:
    """Run all of `work` until any of it ends; cancel the rest and wait `grace_s` for them.

    Raises what the first to end raised, if it did.
    """
    loop = asyncio.get_running_loop()
    tasks = [loop.create_task(coroutine, name=name) for name, coroutine in work.items()]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks, timeout=grace_s)
    for task in done:
        _log.info("root_task_ended", task=task.get_name())
        task.result()
