"""The errors of this package."""

from pathlib import Path


class JournalError(Exception):
    """The journal can't be opened, read or written. Its text is for people; names the file."""

    def __init__(self, path: Path, message: str) -> None:
        super().__init__(f"{path}: {message}")
        self.path = path


class JournalInUseError(JournalError):
    """Another process acts on this journal; `holder` is its number, or `unknown`."""

    def __init__(self, path: Path, holder: str) -> None:
        super().__init__(
            path,
            f"in use by another supervisor (process {holder}); "
            "stop that one first, or give this one another state directory",
        )
        self.holder = holder
