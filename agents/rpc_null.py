"""The ONC RPC call that does nothing, and whether the program answers it (RFC 5531).

A TCP connection proves nothing: the kernel accepts for a server that is stopped. A reply does.
"""

import asyncio
import os
import struct

NFS_PROGRAM, NFS_PORT = 100003, 2049
_LAST_FRAGMENT = 0x80000000
_CALL, _REPLY, _RPC_VERSION, _ACCEPTED = 0, 1, 2, 0
_SUCCESS, _PROG_MISMATCH = 0, 2
_HEADER_WORDS = 6  # xid, REPLY, accepted, verifier's flavour and length, accept status
_MOST_BYTES = 1024


async def rpc_null(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, version: int = 4
) -> bool:
    """Call procedure 0 of NFS on a new connection; tell whether the program lives.

    Another version than the server's proves life as well. Raises `OSError` and
    `asyncio.IncompleteReadError`; give it a deadline.
    """
    xid = int.from_bytes(os.urandom(4), "big")
    call = struct.pack(">10I", xid, _CALL, _RPC_VERSION, NFS_PROGRAM, version, 0, 0, 0, 0, 0)
    writer.write(struct.pack(">I", _LAST_FRAGMENT | len(call)) + call)
    await writer.drain()
    (mark,) = struct.unpack(">I", await reader.readexactly(4))
    length = mark & ~_LAST_FRAGMENT
    if not 4 * _HEADER_WORDS <= length <= _MOST_BYTES:
        return False
    reply = struct.unpack(f">{_HEADER_WORDS}I", (await reader.readexactly(length))[:24])
    return reply[:3] == (xid, _REPLY, _ACCEPTED) and reply[5] in {_SUCCESS, _PROG_MISMATCH}
