"""Which form of the status a client wants: `?format=` wins, then Accept, then text for curl."""

from typing import Literal

Format = Literal["text", "json", "html"]
_FORMS: dict[str, Format] = {
    "text/html": "html",
    "application/json": "json",
    "text/plain": "text",
}


def preferred(accept: str) -> Format:
    """Return the named media type of highest quality, the first of equals; text if none is ours.

    Wildcards don't count: curl and wget send `*/*`, browsers name `text/html`.
    """
    best: Format = "text"
    best_quality = 0.0
    for part in accept.split(","):
        media_type, _, parameters = part.strip().lower().partition(";")
        form = _FORMS.get(media_type.strip())
        quality = _quality(parameters)
        if form and quality > best_quality:
            best, best_quality = form, quality
    return best


def _quality(parameters: str) -> float:
    for parameter in parameters.split(";"):
        key, _, value = parameter.strip().partition("=")
        if key == "q":
            try:
                return float(value)
            except ValueError:
                return 0.0
    return 1.0
