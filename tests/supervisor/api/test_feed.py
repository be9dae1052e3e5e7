"""The timeline's readers."""

import pytest

from supervisor.api.feed import Feed, FullError


def test_every_reader_gets_what_is_published_after_it_joined() -> None:
    """In order."""
    feed = Feed()
    feed.publish({"seq": 1})
    reader = feed.join()
    feed.publish({"seq": 2})
    feed.publish({"seq": 3})
    assert [entry["seq"] for entry in reader.waiting] == [2, 3]


def test_a_slow_reader_is_dropped_and_holds_up_nobody() -> None:
    """Its queue is bounded, and it is told why it ends."""
    feed = Feed(queue=2)
    slow, quick = feed.join(), feed.join()
    for seq in range(4):
        feed.publish({"seq": seq})
        quick.waiting.clear()
    assert (slow.ending, len(slow.waiting)) == ("too_slow", 2)
    assert quick.ending == ""


def test_readers_are_bounded_and_places_come_free() -> None:
    """One reader too many is refused, until another leaves."""
    feed = Feed(readers=1)
    reader = feed.join()
    with pytest.raises(FullError):
        feed.join()
    feed.leave(reader)
    feed.join()


def test_the_newest_entries_are_remembered() -> None:
    """Only so many, and by number."""
    feed = Feed(remembered=3)
    for seq in range(1, 6):
        feed.publish({"seq": seq})
    assert feed.remembers_from == 3
    assert [entry["seq"] for entry in feed.recent(3)] == [4, 5]


def test_closing_ends_every_stream() -> None:
    """Those that are open, and those that come too late."""
    feed = Feed()
    reader = feed.join()
    feed.close()
    assert reader.ending == "shutdown"
    assert reader.wake.is_set()
    assert feed.join().ending == "shutdown"
