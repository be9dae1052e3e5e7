"""What is signed can't be changed, reflected, replayed to another place, or forged."""

from pathlib import Path

import pytest

from common.signing import Direction, KeyFileError, NodeKeys, load_key, sign, verify

KEYS = NodeKeys.derive(bytes(range(32)), "green1")
TO, BACK = Direction.TO_SUPERVISOR, Direction.TO_AGENT


def test_round_trip() -> None:
    """What one side signs the other accepts."""
    signature = sign(KEYS, TO, "/v1/heartbeat", 3, b"body", "binding")
    assert verify(KEYS, TO, "/v1/heartbeat", 3, b"body", signature, "binding")


@pytest.mark.parametrize(
    ("direction", "path", "term", "body", "binding"),
    [
        (BACK, "/p", 1, b"body", "b"),
        (TO, "/q", 1, b"body", "b"),
        (TO, "/p", 2, b"body", "b"),
        (TO, "/p", 1, b"bodi", "b"),
        (TO, "/p", 1, b"body", "c"),
    ],
)
def test_everything_is_bound_in(
    direction: Direction, path: str, term: int, body: bytes, binding: str
) -> None:
    """Direction, path, term, body and binding are all inside the MAC."""
    signature = sign(KEYS, TO, "/p", 1, b"body", "b")
    assert not verify(KEYS, direction, path, term, body, signature, binding)


def test_keys_differ() -> None:
    """Each node and each direction has its own key, even from one master."""
    other = NodeKeys.derive(bytes(range(32)), "green2")
    assert len({KEYS.to_agent, KEYS.to_supervisor, other.to_agent, other.to_supervisor}) == 4


@pytest.mark.parametrize("signature", ["", "é", "0" * 64, "nonsense"])
def test_rubbish_is_refused(signature: str) -> None:
    """Whatever stands in the header, verification only says no."""
    assert not verify(KEYS, TO, "/p", 1, b"", signature)


@pytest.mark.parametrize(
    ("text", "mode", "said"),
    [
        ("ab" * 32, 0o640, "readable by others"),
        ("ab" * 31, 0o600, "expected 64 hex digits"),
        ("zz" * 32, 0o600, "expected 64 hex digits"),
    ],
)
def test_bad_key_files(tmp_path: Path, text: str, mode: int, said: str) -> None:
    """A key that others may read, or that is no key, is refused with a clear word."""
    path = tmp_path / "node.key"
    path.write_text(text)
    path.chmod(mode)
    with pytest.raises(KeyFileError, match=said):
        load_key(path)


def test_good_key_file(tmp_path: Path) -> None:
    """A private file with 64 hex digits is a key; a missing one is a clear error."""
    path = tmp_path / "node.key"
    path.write_text("ab" * 32 + "\n")
    path.chmod(0o600)
    assert load_key(path) == b"\xab" * 32
    with pytest.raises(KeyFileError, match="can't be read"):
        load_key(tmp_path / "other.key")
