"""The status as a page for browsers: the same text, self-contained, with nothing fetched."""

import base64
import hashlib
import html

from supervisor.api.text import status_text
from supervisor.core.status import Status

REFRESH_S = 5
_STYLE = (
    ":root{color-scheme:light dark}"
    "body{margin:1rem;font-family:ui-monospace,monospace}"
    "pre{font:inherit;white-space:pre-wrap;overflow-wrap:anywhere}"
    "h1{font-size:1.1rem}"
)
_STYLE_HASH = base64.b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode()
HEADERS = {
    "Content-Security-Policy": (
        f"default-src 'none'; style-src 'sha256-{_STYLE_HASH}'; base-uri 'none';"
        " form-action 'none'; frame-ancestors 'none'"
    ),
    "Referrer-Policy": "no-referrer",
}


def status_page(status: Status, cluster: str) -> str:
    """Render the page; every word that came from elsewhere is escaped."""
    word = "healthy" if status.healthy else "not healthy"
    title = html.escape(f"{cluster}: {word}")
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f'<meta http-equiv="refresh" content="{REFRESH_S}">\n'
        f"<title>{title}</title>\n<style>{_STYLE}</style>\n</head>\n<body>\n"
        f"<h1>{title}</h1>\n<pre>{html.escape(status_text(status))}</pre>\n</body>\n</html>\n"
    )
