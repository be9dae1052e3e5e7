"""structlog, one JSON object a line on stderr (journald keeps it); never a secret.

A line that stderr doesn't take at once is dropped: no daemon ever waits for its log.
"""

import logging

import structlog

from common.unblocked import Unblocked

_STDERR = 2


def configure(*, verbose: bool = False, pretty: bool = False) -> None:
    """Set up logging for a daemon. `pretty` is for people at a terminal."""
    renderer: structlog.typing.Processor = structlog.processors.JSONRenderer()
    if pretty:
        renderer = structlog.dev.ConsoleRenderer(colors=False)
    level = logging.DEBUG if verbose else logging.INFO
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        # It wants write() and flush() of a file, and no more.
        logger_factory=structlog.WriteLoggerFactory(
            file=Unblocked(_STDERR)  # type: ignore[arg-type]
        ),
        cache_logger_on_first_use=True,
    )
