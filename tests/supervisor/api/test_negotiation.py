"""Which form a client gets."""

import pytest

from supervisor.api.negotiation import preferred


@pytest.mark.parametrize(
    ("accept", "form"),
    [
        ("", "text"),
        ("*/*", "text"),  # curl, wget
        ("text/*", "text"),
        ("application/json", "json"),
        ("application/json, text/plain, */*", "json"),  # axios
        ("text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8", "html"),  # browsers
        ("text/html;q=0.5, application/json", "json"),
        ("text/html;q=0, */*", "text"),
        ("TEXT/HTML", "html"),
        ("text/html;q=nonsense", "text"),
        ("image/png", "text"),
    ],
)
def test_the_best_named_type_wins(accept: str, form: str) -> None:
    """Wildcards and strangers get text."""
    assert preferred(accept) == form
