"""One connection to a D-Bus message bus, on which nothing waits without a deadline.

A service that hangs (PID 1, while the root file system is stalled) leaves calls unanswered and
carries them out *late*, when nobody wants them any more. So:
- a call that overran its deadline stays outstanding, and until its answer or the end of the
  connection every further call fails at once: questions don't pile up in the bus;
- a call that changes something gets a connection of its own (`connected`), which is closed on
  failure: [T] systemd 252 refuses what it finds in its queue from a caller who has gone, as it
  can't ask the bus any more who that was. A restart asked of a PID 1 under SIGSTOP didn't
  happen after SIGCONT.

dbus-fast is imported by the first connection: 2.8 MB and 15 ms beside aiohttp. [T]
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from common.clock import boottime

if TYPE_CHECKING:
    from dbus_fast.aio import MessageBus
    from dbus_fast.message import Message

SYSTEM_BUS = "unix:path=/run/dbus/system_bus_socket"
CONNECT_S = 2.0
_PROPERTIES = "org.freedesktop.DBus.Properties"


class BusError(Exception):
    """A call failed, or could not be made. Its text is for people; `name` is the error's."""

    def __init__(self, text: str, name: str = "") -> None:
        super().__init__(text)
        self.name = name


class SilentError(BusError):
    """No answer came in time. What was asked may still be done, late."""


@dataclass(frozen=True, slots=True)
class Signal:
    """A signal as it came from the bus."""

    path: str
    interface: str
    member: str
    body: Sequence[Any]


@dataclass(frozen=True, slots=True)
class Object:
    """Whom to call: a service's object, by one of its interfaces."""

    service: str
    path: str
    interface: str


BUS = Object("org.freedesktop.DBus", "/org/freedesktop/DBus", "org.freedesktop.DBus")


class Bus:
    """A connection. It is never made anew: open another one when `closed` is done."""

    def __init__(self, bus: "MessageBus", on_signal: Callable[[Signal], None] | None) -> None:
        self._bus = bus
        self._on_signal = on_signal
        self._overdue: tuple[asyncio.Task[Any], str, float] | None = None
        self.closed = asyncio.get_running_loop().create_task(_end_of(bus), name="end of the bus")
        if on_signal:
            bus.add_message_handler(self._received)

    @classmethod
    async def open(cls, address: str, on_signal: Callable[[Signal], None] | None = None) -> "Bus":
        """Connect within `CONNECT_S` seconds. Raises `BusError`."""
        from dbus_fast.aio import MessageBus  # noqa: PLC0415 - many agents never need it
        from dbus_fast.errors import AuthError, InvalidAddressError  # noqa: PLC0415 - likewise

        try:
            bus = MessageBus(bus_address=address, auth_timeout=CONNECT_S)
            async with asyncio.timeout(CONNECT_S):
                await bus.connect()
        except TimeoutError:
            raise SilentError(f"{address}: no connection within {CONNECT_S:g} s") from None
        except (OSError, EOFError, AuthError, InvalidAddressError) as error:
            reason = getattr(error, "strerror", None) or str(error) or type(error).__name__
            raise BusError(f"{address}: {reason}") from None
        return cls(bus, on_signal)

    async def close(self) -> None:
        """Close it; what was asked and not yet begun isn't done any more."""
        self._bus.disconnect()
        await asyncio.wait({self.closed}, timeout=1.0)
        self.closed.cancel()

    async def call(
        self, target: Object, member: str, signature: str, *body: Any, deadline_s: float
    ) -> list[Any]:
        """Call a method and return its answer's values, variants unpacked. Raises `BusError`."""
        self._refuse_while_silent()
        message = _method_call(target, member, signature, body)
        task = asyncio.get_running_loop().create_task(self._bus.call(message), name=f"bus {member}")
        task.add_done_callback(_retrieved)
        try:
            done, _ = await asyncio.wait({task}, timeout=deadline_s)
        except asyncio.CancelledError:
            self._overdue = self._overdue or (task, target.service, boottime())
            raise
        if not done:
            self._overdue = self._overdue or (task, target.service, boottime() - deadline_s)
            raise SilentError(f"{target.service} gave no answer within {deadline_s:.1f} s")
        return _values(task)

    async def get(self, target: Object, name: str, deadline_s: float) -> Any:
        """Read one property. Raises `BusError`."""
        properties = Object(target.service, target.path, _PROPERTIES)
        (value,) = await self.call(
            properties, "Get", "ss", target.interface, name, deadline_s=deadline_s
        )
        return value

    def _refuse_while_silent(self) -> None:
        if self.closed.done():
            raise BusError("the connection to the bus has ended")
        if self._overdue is None:
            return
        task, service, since = self._overdue
        if not task.done():
            raise SilentError(f"{service} has not answered for {boottime() - since:.0f} s")
        self._overdue = None

    def _received(self, message: "Message") -> None:
        from dbus_fast.constants import MessageType  # noqa: PLC0415 - loaded already
        from dbus_fast.unpack import unpack_variants  # noqa: PLC0415 - likewise

        if self._on_signal and message.message_type is MessageType.SIGNAL:
            body = unpack_variants(message.body)
            path, interface = message.path or "", message.interface or ""
            self._on_signal(Signal(path, interface, message.member or "", body))


@asynccontextmanager
async def connected(
    address: str, on_signal: Callable[[Signal], None] | None = None
) -> AsyncIterator[Bus]:
    """Open a connection for a while. Raises `BusError`."""
    bus = await Bus.open(address, on_signal)
    try:
        yield bus
    finally:
        await bus.close()


async def _end_of(bus: "MessageBus") -> None:
    """Wait until the connection ends, in whatever way."""
    try:
        await bus.wait_for_disconnect()  # type: ignore[no-untyped-call]
    except (OSError, EOFError):
        return


def _method_call(target: Object, member: str, signature: str, body: Sequence[Any]) -> "Message":
    from dbus_fast.message import Message  # noqa: PLC0415 - loaded already

    return Message(
        destination=target.service,
        path=target.path,
        interface=target.interface,
        member=member,
        signature=signature,
        body=list(body),
    )


def _values(task: "asyncio.Task[Message | None]") -> list[Any]:
    from dbus_fast.constants import MessageType  # noqa: PLC0415 - loaded already
    from dbus_fast.unpack import unpack_variants  # noqa: PLC0415 - likewise

    try:
        answer = task.result()
    except (OSError, EOFError, asyncio.CancelledError) as error:
        raise BusError(f"the connection to the bus ended: {error}") from None
    if answer is None:
        raise BusError("the connection to the bus ended")
    values: list[Any] = unpack_variants(answer.body)
    if answer.message_type is MessageType.ERROR:
        text = values[0] if values and isinstance(values[0], str) else answer.error_name
        raise BusError(str(text), answer.error_name or "")
    return values


def _retrieved(task: "asyncio.Task[Any]") -> None:
    """An answer that nobody waits for any more is no unhandled error."""
    if not task.cancelled():
        task.exception()
