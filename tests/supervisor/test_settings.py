"""pimedic.toml: defaults, paths, and clear errors."""

from pathlib import Path

import pytest

from common.toml_files import ConfigError
from supervisor.settings import load_settings

FENCE = "[switch.fence]\nagent = '/usr/sbin/fence_apc'\n"
UNIFI = "[switch.unifi]\ndevice = '74:83:c2:00:00:01'\n"


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
        ('[switch]\ndriver = "telnet"\n', ":2: switch.driver: expected 'swctrl', 'snmp'"),
        ('[switch]\ndriver = "unifi"\n', ':1: switch: driver = "unifi" needs a table'),
        ('[switch]\ndriver = "fence"\n', ':1: switch: driver = "fence" needs a table'),
        ("[switch.snmp]\ncommunity = 'x'\n", ":2: switch.snmp.community: unknown key"),
        ("[switch.fence]\nagent = 'fence_apc'\n", ":2: switch.fence.agent: expected an absolute"),
        (FENCE + "options = { password = 'x' }\n", ":3: switch.fence.options: 'password' looks"),
        (FENCE + "options = { action = 'off' }\n", ":3: switch.fence.options: 'action' is the"),
        (FENCE + "options = { retries = 3 }\n", ":3: switch.fence.options.retries: expected"),
        (UNIFI + "url = 'http://h'\nca_file = 'x'\n", ":3: switch.unifi.url: expected https://"),
        (UNIFI + "url = 'https://h/x'\nca_file = 'x'\n", ":3: switch.unifi.url: expected"),
        (UNIFI + "url = 'https://h'\n", ":1: switch.unifi: expected fingerprint or ca_file"),
        (UNIFI + "url = 'https://h'\nfingerprint = '12'\n", ":4: switch.unifi.fingerprint: exp"),
    ],
)
def test_mistakes(tmp_path: Path, text: str, said: str) -> None:
    """A mistake is named by line and key."""
    path = tmp_path / "pimedic.toml"
    path.write_text(text)
    with pytest.raises(ConfigError) as error:
        load_settings(path)
    assert said in str(error.value)
