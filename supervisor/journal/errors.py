"""The one error of this package."""

from pathlib import Path


class JournalError(Exception):
    """The journal can't be opened, read or written. Its text is for people; names the file."""

    def __init__(self, path: Path, message: str) -> None:
        super().__init__(f"{path}: {message}")
        self.path = path
