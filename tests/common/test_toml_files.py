"""Every key is found on its line, however the file is laid out."""

from pathlib import Path

import pytest

from common.toml_files import ConfigError, load

TEXT = '''# a comment
top = 1

[one]
name = "a # not a comment ["
many = [
    "x",
    "y = 1",
]
text = """
fake = 1
[fake]
"""
last = true

[one.deep]
"quoted key" = { inner = 1 }

[[row]]
a = 1
[[row]]
a = 2
'''

LINES = {
    ("top",): 2,
    ("one",): 4,
    ("one", "name"): 5,
    ("one", "many"): 6,
    ("one", "many", 1): 6,
    ("one", "text"): 10,
    ("one", "last"): 14,
    ("one", "deep"): 16,
    ("one", "deep", "quoted key", "inner"): 17,
    ("row", 0, "a"): 20,
    ("row", 1, "a"): 22,
    ("row", 1, "missing"): 21,
}


@pytest.mark.parametrize("key", LINES, ids=str)
def test_lines(key: tuple[str | int, ...], tmp_path: Path) -> None:
    """A key has its own line; one that isn't there has its table's."""
    path = tmp_path / "some.toml"
    path.write_text(TEXT)
    assert load(path).line(key) == LINES[key]


def test_text_inside_strings_is_no_key(tmp_path: Path) -> None:
    """What stands inside a multi-line string or array is neither key nor table."""
    path = tmp_path / "some.toml"
    path.write_text(TEXT)
    assert ("fake",) not in load(path).lines
    assert ("one", "fake") not in load(path).lines


def test_not_utf8(tmp_path: Path) -> None:
    """Bytes that are no text are a clear error."""
    path = tmp_path / "some.toml"
    path.write_bytes(b"\xff\xfe")
    with pytest.raises(ConfigError, match="can't be read"):
        load(path)
