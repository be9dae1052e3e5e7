"""The running lab's ear: a unix socket in its directory, one JSON object a line each way.

Requests are `{"do": "break", "node": ..., "fault": ..., "argument": ...}`, `{"do": "heal",
"node": ...}` and `{"do": "status"}`; answers have `ok` and either `text`, `nodes` or `error` (with
`misuse` when it is the asker's).
"""

import asyncio
import contextlib
import json
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

from lab.errors import LabError, MisuseError
from lab.rack import Rack

_TIMEOUT_S = 10.0
_LIMIT = 64 * 1024


class _Request(BaseModel):
    model_config = ConfigDict(extra="forbid")

    do: str
    node: str = ""
    fault: str = ""
    argument: str = ""


class Control:
    """Serves `rack` on the socket `path`; only this user may connect."""

    def __init__(self, rack: Rack, path: Path) -> None:
        self._rack, self._path = rack, path
        self._server: asyncio.Server | None = None

    async def start(self) -> None:
        """Listen."""
        self._server = await asyncio.start_unix_server(self._talk, self._path, limit=_LIMIT)
        self._path.chmod(0o600)

    async def aclose(self) -> None:
        """Stop listening."""
        if self._server:
            self._server.close()
            await self._server.wait_closed()

    async def _talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError, ValueError, TimeoutError):
            while line := await asyncio.wait_for(reader.readline(), _TIMEOUT_S):
                writer.write(json.dumps(self._answer(line)).encode() + b"\n")
                await asyncio.wait_for(writer.drain(), _TIMEOUT_S)
        writer.close()

    def _answer(self, line: bytes) -> dict[str, Any]:
        try:
            request = _Request.model_validate_json(line)
            match request.do:
                case "break":
                    text = self._rack.suffer(request.node, request.fault, request.argument)
                case "heal":
                    text = self._rack.heal(request.node)
                case "status":
                    return {"ok": True, "nodes": list(self._rack.describe())}
                case other:
                    raise MisuseError(f"unknown order {other!r}; expected break, heal or status")
        except (LabError, ValidationError) as error:
            misuse = not isinstance(error, LabError) or isinstance(error, MisuseError)
            return {"ok": False, "error": str(error), "misuse": misuse}
        return {"ok": True, "text": text}
