"""Waiting for EPOLLPRI, by which the kernel tells of changes in files of /proc.

asyncio asks only for EPOLLIN. But an epoll descriptor is itself readable while something it
watches is ready, so one lies between. [T] kernel 6.18: it wakes within 1 ms; asking it then
*what* was ready returns nothing, because these files forget the event at the very poll that
reports it. Readable is all there is to know, hence one descriptor between for each file.
"""

import asyncio
import contextlib
import select
from collections.abc import Callable, Iterator


@contextlib.contextmanager
def told_of_priority(fd: int, tell: Callable[[], None]) -> Iterator[None]:
    """Call `tell` in the running loop after each event on `fd` meanwhile.

    Raises `PermissionError` on a plain file, which has no events.
    """
    loop = asyncio.get_running_loop()
    with select.epoll() as between:
        between.register(fd, select.EPOLLPRI)

        def ready() -> None:
            between.poll(0)
            tell()

        loop.add_reader(between.fileno(), ready)
        try:
            yield
        finally:
            loop.remove_reader(between.fileno())
