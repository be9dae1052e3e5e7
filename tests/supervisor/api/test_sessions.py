"""The rules of heartbeat sessions, one claim each."""

import itertools

from hypothesis import given
from hypothesis import strategies as st

from supervisor.api.sessions import Admitted, Challenged, Refusal, Refused, Sessions


def sessions() -> Sessions:
    """Sessions whose nonces are n1, n2, ..."""
    numbers = itertools.count(1)
    return Sessions(lambda: f"n{next(numbers)}", pending_s=10)


def opened() -> Sessions:
    """Sessions in which `green1` has answered n1 with sequence 0 at time 0."""
    known = sessions()
    known.judge("green1", "", "boot", 5, 0)
    assert known.judge("green1", "n1", "boot", 0, 0) == Admitted()
    return known


def test_a_stranger_is_challenged() -> None:
    """Without a session every beat is challenged, whatever nonce it claims."""
    for claimed in ("", "n0", "stale"):
        assert sessions().judge("green1", claimed, "boot", 1, 0) == Challenged("n1")


def test_the_answer_to_a_challenge_opens_the_session() -> None:
    """A beat with the pending nonce is admitted, whatever its sequence starts from."""
    known = sessions()
    assert known.judge("green1", "", "boot", 9, 0) == Challenged("n1")
    assert known.judge("green1", "n1", "boot", 41, 1) == Admitted()
    assert known.judge("green1", "n1", "boot", 42, 2) == Admitted()


def test_a_sequence_must_grow() -> None:
    """A repeated or smaller sequence is a replay; a gap is not."""
    known = opened()
    assert known.judge("green1", "n1", "boot", 7, 1) == Admitted()
    for seen in (7, 6, 0):
        verdict = known.judge("green1", "n1", "boot", seen, 2)
        assert isinstance(verdict, Refused)
        assert verdict.why is Refusal.REPLAYED
    assert known.judge("green1", "n1", "boot", 8, 3) == Admitted()


def test_the_beat_that_answered_a_challenge_cannot_answer_twice() -> None:
    """Replaying the very answer to the nonce is a replay within the new session."""
    verdict = opened().judge("green1", "n1", "boot", 0, 1)
    assert isinstance(verdict, Refused)
    assert verdict.why is Refusal.REPLAYED


def test_a_boot_id_changes_only_with_the_session() -> None:
    """Another boot id in the same session is refused; with a fresh nonce it is welcome."""
    known = opened()
    verdict = known.judge("green1", "n1", "other", 1, 1)
    assert isinstance(verdict, Refused)
    assert verdict.why is Refusal.BOOT_CHANGED
    assert known.judge("green1", "", "other", 0, 2) == Challenged("n2")
    assert known.judge("green1", "n2", "other", 0, 3) == Admitted()


def test_the_old_session_lives_until_the_new_one_is_answered() -> None:
    """A challenge that nobody answers takes nothing away."""
    known = opened()
    assert known.judge("green1", "", "boot", 0, 1) == Challenged("n2")
    assert known.judge("green1", "n1", "boot", 1, 2) == Admitted()
    assert known.judge("green1", "n2", "boot", 0, 3) == Admitted()
    assert isinstance(known.judge("green1", "n1", "boot", 2, 4), Challenged)


def test_a_replayer_cannot_disturb_a_handshake() -> None:
    """While a nonce is pending the same one is handed out again, however often."""
    known = sessions()
    known.judge("green1", "", "boot", 0, 0)
    for at in (1, 5, 9.9):
        assert known.judge("green1", "old", "boot", 3, at) == Challenged("n1")
    assert known.judge("green1", "n1", "boot", 0, 9.95) == Admitted()


def test_a_pending_nonce_expires() -> None:
    """After ten seconds an unanswered nonce is worth nothing."""
    known = sessions()
    known.judge("green1", "", "boot", 0, 0)
    assert known.judge("green1", "n1", "boot", 0, 10) == Challenged("n2")


def test_nodes_do_not_share_sessions() -> None:
    """One node's nonce means nothing for another."""
    assert opened().judge("pi_login", "n1", "boot", 1, 1) == Challenged("n2")


def test_after_a_restart_nothing_captured_is_worth_anything() -> None:
    """A new supervisor challenges every session that the old one knew."""
    restarted = Sessions(lambda: "fresh")
    assert restarted.judge("green1", "n1", "boot", 10**6, 0) == Challenged("fresh")


@given(
    beats=st.lists(
        st.tuples(
            st.sampled_from(["", "n1", "n2", "n3"]),
            st.sampled_from(["boot", "other"]),
            st.integers(0, 4),
            st.floats(0, 8),
        ),
        max_size=40,
    )
)
def test_no_beat_is_ever_admitted_twice(beats: list[tuple[str, str, int, float]]) -> None:
    """Whatever is sent in whatever order, a (nonce, sequence) pair is admitted at most once."""
    known, now, admitted = sessions(), 0.0, list[tuple[str, int]]()
    for nonce, boot, sequence, later in beats:
        now += later
        if known.judge("green1", nonce, boot, sequence, now) == Admitted():
            admitted.append((nonce, sequence))
    assert len(admitted) == len(set(admitted))
