"""pimedic.toml: defaults, paths, and clear errors."""

from pathlib import Path

import pytest

from common.toml_files import ConfigError
from supervisor.settings import load_settings


def test_empty_file_is_all_defaults(tmp_path: Path) -> None:
    """Nothing has to be said; relative paths are the file's neighbours."""
    path = tmp_path / "pimedic.toml"
    path.write_text("")
    settings = load_settings(path)
    assert settings.supervisor.listen == ("0.0.0.0:8800",)
    assert settings.supervisor.inventory == tmp_path / "cluster.toml"
    assert settings.supervisor.state_dir == Path("/var/lib/pimedic")
    assert settings.credentials.node_keys == tmp_path / "keys"


def test_credentials_come_from_systemd(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Under systemd, secrets are looked for where it puts them."""
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", "/run/credentials/x")
    path = tmp_path / "pimedic.toml"
    path.write_text("")
    assert load_settings(path).credentials.tokens == Path("/run/credentials/x/tokens")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[rails]\nmax_unavailable = 0\n", ":2: rails.max_unavailable: expected"),
        ("[rails]\nmax_unavailabel = 2\n", ":2: rails.max_unavailabel: unknown key"),
        ('[supervisor]\nlisten = ["8800"]\n', ":2: supervisor.listen.0: expected ADDRESS:PORT"),
        ("[senses]\ntimeout_s = -1\n", ":2: senses.timeout_s: expected"),
    ],
)
def test_mistakes(tmp_path: Path, text: str, said: str) -> None:
    """A mistake is named by line and key."""
    path = tmp_path / "pimedic.toml"
    path.write_text(text)
    with pytest.raises(ConfigError) as error:
        load_settings(path)
    assert said in str(error.value)
