"""What an agent on an idle node needs around it: an honest supervisor, and a bus with systemd.

    python -m bench.idle_node BUS_SOCKET

Prints the supervisor's URL, then serves until it is ended. The bus is a real dbus-daemon; behind
systemd's name stands a stand-in that says of every unit that it is well.
"""

import asyncio
import sys

from dbus_fast import Message, MessageType, Variant
from dbus_fast.aio import MessageBus

from tests.integration.agent_peer import Peer

_UNIT = {
    "LoadState": Variant("s", "loaded"),
    "ActiveState": Variant("s", "active"),
    "SubState": Variant("s", "running"),
    "InvocationID": Variant("ay", bytes(range(16))),
}
_ANSWERS = {
    "Subscribe": ("", []),
    "LoadUnit": ("o", ["/org/freedesktop/systemd1/unit/one"]),
    "GetAll": ("a{sv}", [_UNIT]),
}


def _answer(message: Message) -> Message | None:
    if message.message_type is not MessageType.METHOD_CALL:
        return None
    if message.member == "Get":
        value = Variant("u", 0) if message.body[1] == "NRestarts" else Variant("s", "success")
        return Message.new_method_return(message, "v", [value])
    signature, body = _ANSWERS[message.member]
    return Message.new_method_return(message, signature, body)


async def _serve(address: str) -> None:
    bus = await MessageBus(bus_address=address).connect()
    bus.add_message_handler(_answer)
    await bus.request_name("org.freedesktop.systemd1")
    peer = Peer()
    peer.interval_s = 1.0
    await peer.start()
    print(peer.url, flush=True)
    await bus.wait_for_disconnect()


if __name__ == "__main__":
    asyncio.run(_serve(f"unix:path={sys.argv[1]}"))
