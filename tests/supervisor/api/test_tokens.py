"""Who may act."""

import hashlib
from pathlib import Path

import pytest

from supervisor.api.problems import ProblemError
from supervisor.api.tokens import Tokens, TokensError, load_tokens

SECRET = "a-long-random-secret"
DIGEST = hashlib.sha256(SECRET.encode()).hexdigest()


def a_file(tmp_path: Path, text: str, mode: int = 0o600) -> Path:
    """A tokens file."""
    path = tmp_path / "tokens"
    path.write_text(text)
    path.chmod(mode)
    return path


def test_names_and_digests_are_read(tmp_path: Path) -> None:
    """Comments and blank lines are skipped."""
    path = a_file(tmp_path, f"# people\n\nanna sha256:{DIGEST}  # until June\n")
    assert load_tokens(path) == {"anna": DIGEST}


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620])
def test_a_file_that_others_can_touch_is_refused(tmp_path: Path, mode: int) -> None:
    """Group and others have no business with it."""
    with pytest.raises(TokensError, match="chmod 600"):
        load_tokens(a_file(tmp_path, f"anna sha256:{DIGEST}\n", mode))


@pytest.mark.parametrize(
    "line", ["anna", f"anna {DIGEST}", "anna sha256:12", f"an na sha256:{DIGEST}", "anna: x"]
)
def test_a_bad_line_is_named(tmp_path: Path, line: str) -> None:
    """The error says file and line, and shows nothing of it: it might be a secret."""
    path = a_file(tmp_path, f"# one\n{line}\n")
    with pytest.raises(TokensError, match=rf"{path}:2: expected NAME sha256:HEX") as caught:
        load_tokens(path)
    assert line not in str(caught.value).removeprefix(str(path))


def test_a_name_has_one_token(tmp_path: Path) -> None:
    """A second line of the same name is an error."""
    path = a_file(tmp_path, f"anna sha256:{DIGEST}\nanna sha256:{DIGEST}\n")
    with pytest.raises(TokensError, match=":2: 'anna' already"):
        load_tokens(path)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    """So that it can be made."""
    with pytest.raises(TokensError, match="gone: tokens can't be read"):
        load_tokens(tmp_path / "gone")


def test_a_right_token_names_its_owner() -> None:
    """The scheme's case doesn't matter."""
    tokens = Tokens({"anna": DIGEST}, lambda: 0)
    assert tokens.author(f"Bearer {SECRET}", "h") == "anna"
    assert tokens.author(f"bearer  {SECRET}", "h") == "anna"


@pytest.mark.parametrize(
    "value",
    [None, "", "Bearer", "Bearer ", "Bearer wrong", f"Basic {SECRET}", SECRET, "Bearer \udc80"],
)
def test_anything_else_is_401_with_a_challenge(value: str | None) -> None:
    """A client is told how to authenticate."""
    with pytest.raises(ProblemError) as caught:
        Tokens({"anna": DIGEST}, lambda: 0).author(value, "h")
    assert caught.value.status == 401
    assert caught.value.headers["WWW-Authenticate"].startswith("Bearer")


def fail(tokens: Tokens, client: str) -> int:
    """Try a wrong token; return the status."""
    with pytest.raises(ProblemError) as caught:
        tokens.author("Bearer wrong", client)
    return caught.value.status


def test_failures_are_limited_per_client_and_refill() -> None:
    """Ten in a row, then 429 until time has passed; others and right tokens are unaffected."""
    now = 0.0
    tokens = Tokens({"anna": DIGEST}, lambda: now)
    assert [fail(tokens, "bad") for _ in range(12)] == [401] * 10 + [429] * 2
    assert fail(tokens, "other") == 401
    assert tokens.author(f"Bearer {SECRET}", "bad") == "anna"
    now = 6.0
    assert [fail(tokens, "bad") for _ in range(2)] == [401, 429]


def test_failures_are_kept_for_few_clients() -> None:
    """A flood from many addresses doesn't fill the memory."""
    tokens = Tokens({}, lambda: 0)
    for number in range(5000):
        fail(tokens, str(number))
    assert len(tokens._failures) <= 256


def test_no_tokens_means_nobody() -> None:
    """An empty file lets nobody in, not everybody."""
    with pytest.raises(ProblemError):
        Tokens({}, lambda: 0).author("Bearer ", "h")
