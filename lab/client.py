"""How `pimedic lab ...` speaks to a running lab. See `lab.control` for the other end."""

import json
import socket
from pathlib import Path
from typing import Any

from lab.errors import LabError, MisuseError

_TIMEOUT_S = 10.0
_LIMIT = 1024 * 1024


def ask(path: Path, **request: str) -> dict[str, Any]:
    """Send one request to the lab whose socket is `path`. Raises `LabError`."""
    try:
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(_TIMEOUT_S)
            connection.connect(str(path))
            connection.sendall(json.dumps(request).encode() + b"\n")
            with connection.makefile("rb") as lines:
                answer: dict[str, Any] = json.loads(lines.readline(_LIMIT))
    except (FileNotFoundError, ConnectionRefusedError):
        raise LabError(
            f"no lab runs in {path.parent}; start one with `make demo` or `pimedic lab up`"
        ) from None
    except (OSError, ValueError) as error:
        raise LabError(f"the lab in {path.parent} doesn't answer: {error}") from None
    if not answer["ok"]:
        raise (MisuseError if answer["misuse"] else LabError)(answer["error"])
    return answer
