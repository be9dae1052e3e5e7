"""The logbook: what was seen and done in silence is kept, bounded, and handed over once."""

from agents.logbook import CAPACITY, HANDED_AT_ONCE, Logbook
from common.observations import Truth
from common.wire import WireObservation

FAILED = WireObservation(
    kind="unit_failed", status=Truth.TRUE, subject="k3s.service", detail="failed (failed)"
)


def _texts(logbook: Logbook, now: float = 100.0) -> list[str]:
    return [entry.text for entry in logbook.to_hand_over(now)]


def test_what_the_supervisor_saw_itself_is_not_told_again() -> None:
    """An answered beat carried every condition that was true when it was sent."""
    logbook = Logbook()
    logbook.changed(1.0, FAILED, Truth.FALSE)
    assert len(logbook) == 1
    logbook.answered(1.5, 1.6)
    assert (len(logbook), _texts(logbook)) == (0, [])


def test_silence_is_told_from_its_beginning_to_its_end() -> None:
    """Changes and treatments between, and just before, the unanswered beats are handed over."""
    logbook = Logbook()
    logbook.answered(0.5, 0.6)
    logbook.changed(1.0, FAILED, Truth.FALSE)
    logbook.unanswered(2.0)
    logbook.unanswered(3.0)
    logbook.note(4.0, "treatment", "restart_unit k3s: succeeded")
    assert _texts(logbook) == []
    logbook.answered(12.0, 12.1)
    entries = logbook.to_hand_over(14.0)
    assert [(entry.kind, entry.text) for entry in entries] == [
        ("condition", "unit_failed k3s.service: false -> true, failed (failed)"),
        ("supervisor", "the supervisor fell silent"),
        ("treatment", "restart_unit k3s: succeeded"),
        ("supervisor", "the supervisor answers again, after 10.1 s"),
    ]
    assert [entry.age_s for entry in entries[:3]] == [13.0, 12.0, 10.0]


def test_repeated_until_acknowledged() -> None:
    """The same entries ride on every beat until a reply names their sequence number."""
    logbook = Logbook()
    logbook.unanswered(1.0)
    logbook.answered(2.0, 2.1)
    first = logbook.to_hand_over(2.2)
    logbook.answered(3.0, 3.1)
    assert [e.sequence for e in logbook.to_hand_over(3.2)] == [e.sequence for e in first]
    logbook.acknowledge(first[0].sequence)
    assert _texts(logbook) == ["the supervisor answers again, after 1.1 s"]
    logbook.acknowledge(first[-1].sequence)
    assert (_texts(logbook), len(logbook)) == ([], 0)


def test_bounded_and_says_what_is_missing() -> None:
    """Of a long silence the newest entries are kept; how many older went is told."""
    logbook = Logbook()
    logbook.unanswered(0.0)
    for number in range(CAPACITY + 9):
        logbook.note(1.0 + number, "condition", f"change {number}")
    assert len(logbook) == CAPACITY
    logbook.answered(1e4, 1e4)
    texts = _texts(logbook, 1e4)
    assert len(texts) == HANDED_AT_ONCE
    assert texts[0] == "(11 older entries were dropped) change 10"


def test_sequence_numbers_only_grow() -> None:
    """Also within a microsecond, and in an agent that was started later in the same boot."""
    one, two = Logbook(), Logbook()
    for logbook, now in ((one, 1.0), (two, 2.0)):
        logbook.unanswered(now)
        logbook.note(now, "condition", "a")
        logbook.answered(now, now)
    numbers = [e.sequence for book in (one, two) for e in book.to_hand_over(3.0)]
    assert numbers == sorted(set(numbers))


def test_healthy_news_at_start_is_no_news() -> None:
    """What is seen for the first time, and well, isn't noted."""
    logbook = Logbook()
    logbook.changed(1.0, FAILED.model_copy(update={"status": Truth.FALSE}), None)
    assert len(logbook) == 0


def test_how_long_it_has_been_silent() -> None:
    """From the first unanswered beat in a row; 0 while it answers."""
    logbook = Logbook()
    assert logbook.silent_s(5.0) == 0.0
    logbook.unanswered(5.0)
    logbook.unanswered(8.0)
    assert logbook.silent_s(9.0) == 4.0
    logbook.answered(9.0, 9.1)
    assert logbook.silent_s(10.0) == 0.0
