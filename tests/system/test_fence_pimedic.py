"""`fence_pimedic` as cluster managers drive it: words on stdin, answers as exit codes."""

import asyncio
import json
import os
import shutil
import subprocess
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from lab.lab import Lab
from lab.settings import LabSettings
from tests.system.by_hand import BIN, Done, Hand, supervisor_down
from tests.system.test_lab import few, somewhere, until
from tests.system.test_operator import until_healthy

pytestmark = [pytest.mark.system, pytest.mark.timeout(300)]
SCHEMA = Path("/usr/share/cluster/relaxng/metadata.rng")


@pytest.fixture
async def hand(tmp_path: Path) -> AsyncIterator[Hand]:
    """Five nodes and a supervisor, all well."""
    settings = LabSettings(
        tmp_path / "lab",
        somewhere(),
        few(tmp_path),
        boot_s=0.5,
        off_s=1,
        restart_supervisor=False,
    )
    async with Lab(settings) as lab:
        await until_healthy(lab)
        yield Hand(lab)


async def fence(hand: Hand, action: str, **more: str) -> Done:
    """Run the agent as Pacemaker does: everything on stdin, with words that it doesn't know."""
    said = {
        "action": action,
        "supervisor": hand.lab.url,
        "token_file": str(hand.lab.directory.path / "token"),
        "config": str(hand.config),
        "crm_feature_set": "3.16.2",
        "power_timeout": "60",
    }
    lines = "".join(f"{key}={value}\n" for key, value in (said | more).items())
    return await hand.run("fence_pimedic", stdin=lines)


async def test_its_life_in_a_cluster(hand: Hand) -> None:
    """Monitor, list, status, reboot, off and on do on the switch's log what they answer."""
    assert (await fence(hand, "monitor")).code == 0
    assert "green4,port 40" in (await fence(hand, "list")).out.splitlines()
    assert (await fence(hand, "status", plug="green4")).code == 0
    rebooted = await fence(hand, "reboot", port="green4", nodename="green4")
    assert rebooted.code == 0, rebooted
    assert hand.powers(40) == ["off", "on"]
    off = await fence(hand, "off", nodename="green_4")
    assert off.code == 0, off
    assert hand.powers(40) == ["off", "on", "off"]
    again = await fence(hand, "off", plug="40")
    assert again.code == 0, again
    shown = json.loads((await hand.run("power", "status", "green4", "--json")).out)["ports"][0]
    assert shown["off"]["remaining_s"] is None
    async with asyncio.timeout(30):  # the supervisor looks at its ports each second
        while (await fence(hand, "status", plug="green4")).code != 2:
            pass
    assert (await fence(hand, "on", plug="green4")).code == 0
    await until(lambda: hand.powers(40) == ["off", "on", "off", "on"])  # once it is detected
    assert hand.touched == {40}


async def test_repeated_as_callers_do(hand: Hand) -> None:
    """Five reboots in a row, as for a caller that lost the answers, cut the power once."""
    answers = [await fence(hand, "reboot", plug="yellow8") for _ in range(5)]
    assert [one.code for one in answers] == [0] * 5, answers
    assert "not done twice" in answers[-1].out
    assert hand.powers(47) == ["off", "on"]
    assert hand.touched == {47}


async def test_at_once_as_callers_do(hand: Hand) -> None:
    """Reboots of one node that overlap cut the power once, and each is told the truth."""
    lines = f"action=reboot\nplug=green4\nsupervisor={hand.lab.url}\nconfig={hand.config}\n"
    runs = [hand.start("fence_pimedic", stdin=lines) for _ in range(3)]
    answers = [await run.ended for run in runs]
    assert [one.code for one in answers] == [0, 0, 0], answers
    assert hand.powers(40) == ["off", "on"]


async def test_what_goes_wrong_is_1_and_never_off(hand: Hand) -> None:
    """Unknown nodes, protected ports, bad words and tokens exit 1: 2 would say `off`."""
    cases: list[tuple[str, dict[str, str]]] = [
        ("status", {}),
        ("status", {"plug": "green9"}),
        ("status", {"plug": "green"}),
        ("reboot", {"plug": "pi_backup"}),
        ("reboot", {"plug": "green4", "token_file": "/nowhere"}),
        ("reboot", {"plug": "green4", "power_timeout": "soon"}),
        ("fly", {"plug": "green4"}),
        ("status", {"plug": "green4", "supervisor": "gopher://x"}),
    ]
    for action, words in cases:
        done = await fence(hand, action, **words)
        assert (done.code, bool(done.err.strip())) == (1, True), (action, words, done)
        assert "Traceback" not in done.err
    argv = await hand.run("fence_pimedic", "--status")
    assert argv.code == 1
    assert hand.touched == set()


async def test_without_the_supervisor(hand: Hand) -> None:
    """While it is down the agent acts in its place, with the same cool-down."""
    await supervisor_down(hand.lab)
    assert (await fence(hand, "monitor")).code == 0
    answers = [await fence(hand, "reboot", plug="green4") for _ in range(2)]
    assert [one.code for one in answers] == [0, 0], answers
    assert hand.powers(40) == ["off", "on"]
    assert (await fence(hand, "off", plug="green4")).code == 0
    assert (await fence(hand, "status", plug="green4")).code == 2


def test_metadata_fits_the_schema(tmp_path: Path) -> None:
    """The metadata is what fence-agents' own RelaxNG schema wants."""
    if not (SCHEMA.exists() and shutil.which("xmllint")):
        pytest.skip("needs the Debian packages fence-agents and libxml2-utils")
    said = subprocess.run(
        [BIN / "fence_pimedic", "-o", "metadata"], capture_output=True, text=True, check=True
    ).stdout
    file = tmp_path / "metadata.xml"
    file.write_text(said)
    lint = ["xmllint", "--noout", "--relaxng", SCHEMA, file]
    done = subprocess.run(lint, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_pacemaker_takes_it(tmp_path: Path) -> None:
    """Pacemaker's own tool reads the metadata and has options validated, good and bad."""
    admin = shutil.which("stonith_admin", path="/usr/sbin:/usr/bin")
    if not admin:
        pytest.skip("needs the Debian package pacemaker-cli-utils")
    if os.geteuid() != 0:
        pytest.skip("not root: Pacemaker looks for agents in /usr/sbin only")
    agent = Path(f"/usr/sbin/fence_pimedic_test_{os.getpid()}")
    agent.symlink_to(BIN / "fence_pimedic")
    try:
        token = tmp_path / "token"
        token.write_text("x")
        told = _admin(admin, "--metadata", "--agent", agent.name)
        assert '<parameter name="plug"' in told.stdout
        validate = ("--validate", "--agent", agent.name, "-o", "plug=green4", "-o")
        assert _admin(admin, *validate, f"token_file={token}").returncode == 0
        assert _admin(admin, *validate, "token_file=/nowhere").returncode != 0
    finally:
        agent.unlink()


def _admin(*words: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(words, capture_output=True, text=True, check=False, timeout=60)
