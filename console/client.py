"""The supervisor's API, as the command line uses it: HTTP with a deadline, errors as sentences."""

import http.client
import json
import os
import stat
import urllib.error
import urllib.request
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

DEFAULT_URL = "http://127.0.0.1:8800"
TIMEOUT_S = 10.0


class ConsoleError(Exception):
    """Something a person should read. `code` is the exit code: 1 failed, 2 usage."""

    def __init__(self, message: str, code: int = 1) -> None:
        super().__init__(message)
        self.code = code


class LostError(ConsoleError):
    """The supervisor doesn't answer."""


class RefusedError(ConsoleError):
    """The supervisor said no. Exit code 4: not authenticated, 5: a rail, 1: anything else.

    `pointers` name what it minds: the rails, or the keys of the request.
    """

    def __init__(self, status: int, message: str, pointers: Sequence[str] = ()) -> None:
        super().__init__(message, {401: 4, 409: 5}.get(status, 1))
        self.status = status
        self.pointers = tuple(pointers)


class Client:
    """One supervisor. `token_file` holds the bearer token; only acts need it."""

    def __init__(self, url: str = "", token_file: Path | None = None) -> None:
        self._url = (url or os.environ.get("PIMEDIC_SUPERVISOR") or DEFAULT_URL).rstrip("/")
        if urlsplit(self._url).scheme not in {"http", "https"}:
            raise ConsoleError(f"expected a URL like {DEFAULT_URL}, found {self._url!r}", 2)
        self._token_file = token_file

    @property
    def url(self) -> str:
        """Where the supervisor is asked."""
        return self._url

    def text(self, path: str) -> str:
        """GET `path` as text."""
        return self._ask("GET", path, None, "text/plain").decode()

    def get(self, path: str) -> Any:
        """GET `path` as JSON."""
        return json.loads(self._ask("GET", path, None, "application/json"))

    def post(self, path: str, body: Mapping[str, Any]) -> Any:
        """POST JSON, with the token."""
        return json.loads(self._ask("POST", path, body, "application/json") or b"null")

    def delete(self, path: str) -> None:
        """DELETE, with the token."""
        self._ask("DELETE", path, None, "application/json")

    def _ask(self, method: str, path: str, body: Mapping[str, Any] | None, accept: str) -> bytes:
        headers = {"Accept": accept}
        if method != "GET":
            headers["Authorization"] = f"Bearer {self._token()}"
        data = None
        if body is not None:
            headers["Content-Type"] = "application/json"
            data = json.dumps(body).encode()
        request = urllib.request.Request(  # noqa: S310 - the scheme was checked
            self._url + path, data=data, headers=headers, method=method
        )
        try:
            with urllib.request.urlopen(request, timeout=TIMEOUT_S) as response:  # noqa: S310 - as above
                answer: bytes = response.read()
                return answer
        except urllib.error.HTTPError as error:
            raise RefusedError(error.code, *_problem(error)) from None
        except (OSError, http.client.HTTPException) as error:
            reason = getattr(error, "reason", error)
            raise LostError(f"no answer from the supervisor at {self._url}: {reason}") from None

    def _token(self) -> str:
        path = self._token_file or Path(os.environ.get("PIMEDIC_TOKEN_FILE") or _default_token())
        try:
            mode, token = path.stat().st_mode, path.read_text(encoding="ascii").strip()
        except (OSError, UnicodeDecodeError) as error:
            raise ConsoleError(
                f"acting needs a token: {path} can't be read ({error});"
                " name it with --token-file or PIMEDIC_TOKEN_FILE",
                4,
            ) from None
        if mode & (stat.S_IRWXG | stat.S_IRWXO):
            raise ConsoleError(f"{path}: token is readable by others; chmod 600 it", 4)
        return token


def _default_token() -> Path:
    return Path.home() / ".config" / "pimedic" / "token"


def _problem(error: urllib.error.HTTPError) -> tuple[str, list[str]]:
    """Turn a problem+json answer into one sentence, and what it points at."""
    try:
        problem = json.loads(error.read())
        said = problem.get("detail") or problem.get("title") or error.reason
        errors = problem.get("errors", [])
        parts = [f"{e.get('pointer', '')}: {e.get('detail', '')}" for e in errors]
        return "\n  ".join([str(said), *parts]), [str(e.get("pointer", "")) for e in errors]
    except (ValueError, AttributeError, OSError, http.client.HTTPException):
        return f"HTTP {error.code} {error.reason}", []
