"""The term: a number that grows with every start, so that agents refuse a predecessor's orders."""

import structlog

from supervisor.journal.errors import JournalError
from supervisor.journal.state import StateStore

_log = structlog.get_logger(__name__)


class Term:
    """This supervisor's term, kept in the journal.

    A journal that was lost would start again at 1, and agents that know a higher term would
    refuse us until they reboot. They tell the newest term they know in each signed beat: with
    one supervisor alone that can only be a predecessor's, so we go past it.
    """

    def __init__(self, store: StateStore) -> None:
        self._store = store
        self.value = store.next_term()

    def saw(self, term: int) -> None:
        """Take note of the newest term that an agent knows."""
        if term <= self.value:
            return
        try:
            self.value = self._store.next_term(above=term)
        except JournalError as error:
            _log.error("term_not_raised", seen=term, error=str(error))
            return
        _log.warning("term_raised", seen=term, term=self.value)
