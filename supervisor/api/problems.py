"""Errors as problem+json (RFC 9457): one form for every refusal on :8800."""

import json
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

MEDIA_TYPE = "application/problem+json"


class ProblemError(Exception):
    """A request can't be granted. `detail` is for the person or program that asked."""

    def __init__(
        self,
        status: int,
        detail: str,
        *,
        kind: str = "",
        headers: Mapping[str, str] | None = None,
        **extra: Any,
    ) -> None:
        super().__init__(detail)
        self.status = status
        self.detail = detail
        self.kind = kind
        self.headers = dict(headers or {})
        self.extra = extra

    def body(self) -> bytes:
        """Render the document; `kind` becomes a URN that programs may switch on."""
        return json.dumps(
            {
                "type": f"urn:pimedic:problem:{self.kind}" if self.kind else "about:blank",
                "title": HTTPStatus(self.status).phrase,
                "status": self.status,
                "detail": self.detail,
                **self.extra,
            }
        ).encode()
