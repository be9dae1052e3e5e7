"""The status as text."""

import pytest

from common.observations import Truth
from supervisor.api.text import WIDTH, span, status_lines, status_text
from supervisor.core.events import OverrideKind
from supervisor.core.liveness import Verdict
from supervisor.core.status import (
    ConditionStatus,
    HeldStatus,
    IncidentState,
    IncidentStatus,
    NodeState,
    OverrideStatus,
)
from tests.supervisor.pictures import a_node_status, a_status

INCIDENT = IncidentStatus(
    id="i-7",
    node="pi_login",
    runbook="login_root_read_only",
    title="root file system is read-only",
    state=IncidentState.TREATING,
    opened_s=40,
    state_s=12,
    doing="cycling port 15",
    symptoms=("root_read_only", "ssh_refused"),
    explains=tuple(f"green{n}" for n in range(1, 18)),
    held=(HeldStatus("budget", "2 of 2 used in this hour", 3),),
    acknowledged_by="anna",
)
SICK = a_status(
    verdict="1 patient: pi_login root read-only; 17 nodes explained by it",
    healthy=False,
    switch_reachable=Truth.TRUE,
    nodes=(
        a_node_status(
            "pi_login",
            state=NodeState.TREATING,
            verdict=Verdict.USERLAND_SICK,
            beat_age_s=41.2,
            conditions=(
                ConditionStatus("nfs_stalled", Truth.UNKNOWN, 1, ""),
                ConditionStatus("root_read_only", Truth.TRUE, 1, "mount / is ro"),
                ConditionStatus("overheating", Truth.FALSE, 1, ""),
            ),
        ),
        a_node_status(
            "green1", state=NodeState.EXPLAINED, verdict=Verdict.HUNG, explained_by="pi_login"
        ),
        a_node_status("green2", beat_age_s=None, verdict=Verdict.UNKNOWN, state=NodeState.UNKNOWN),
    ),
    incidents=(INCIDENT,),
)


def test_the_whole_picture() -> None:
    """Verdict, automation and switch, incidents, then the nodes, aligned."""
    assert status_text(SICK) == (
        "1 patient: pi_login root read-only; 17 nodes explained by it\n"
        "automation ON; switch reachable; up 1m01s\n"
        "\n"
        "TREATING for 12s: pi_login: root file system is read-only\n"
        "  i-7, runbook login_root_read_only, open for 40s, acknowledged by anna\n"
        "  doing: cycling port 15\n"
        "  held back: budget for 3.0s: 2 of 2 used in this hour\n"
        "  seen: root_read_only, ssh_refused\n"
        "  explains 17 nodes: green1 green2 green3 green4 green5 green6 green7 green8\n"
        "           green9 green10 green11 green12 green13 green14 green15 green16\n"
        "           green17\n"
        "\n"
        "NODE         STATE     LIVENESS        BEAT  CONDITIONS (? unknown)\n"
        "pi_login     treating  userland_sick    41s  root_read_only ?nfs_stalled\n"
        "green1       explained hung            0.4s  by pi_login\n"
        "green2       unknown   unknown            -\n"
    )


def test_a_pause_is_told_with_author_end_and_reason() -> None:
    """In the second line, and then in full."""
    pause = OverrideStatus("o1", OverrideKind.PAUSE, "all", "anna", "lab exercise", 3500)
    for_ever = OverrideStatus("o2", OverrideKind.MAINTENANCE, "node:green1", "bo", "fan", None)
    lines = status_lines(a_status(overrides=(pause, for_ever)))
    assert lines[1].startswith("automation PAUSED;")
    assert lines[2] == "PAUSE of all by anna, 58m20s more: lab exercise [o1]"
    assert lines[3] == "MAINTENANCE of node:green1 by bo, for ever: fan [o2]"


def test_doubt_is_told() -> None:
    """Whoever wonders why nothing happens reads why."""
    assert "we slept" in status_text(a_status(doubt="we slept for 9 s"))


def test_an_unreachable_switch_is_loud() -> None:
    """In capitals."""
    assert "switch UNREACHABLE" in status_text(a_status(switch_reachable=Truth.FALSE))


def test_only_the_verdict_may_be_wider_than_the_screen() -> None:
    """Everything else is cut or wrapped at 80 columns."""
    long = "x " * 200
    many = tuple(ConditionStatus(f"condition_{n}", Truth.TRUE, 1, "") for n in range(20))
    status = a_status(
        verdict=long,
        doubt=long,
        nodes=(a_node_status("n" * 40, conditions=many),),
        overrides=(OverrideStatus("o", OverrideKind.PAUSE, "all", "anna", long, 1),),
        incidents=(INCIDENT,),
    )
    first, *rest = status_lines(status)
    assert first == long
    assert max(map(len, rest)) <= WIDTH


def test_nothing_moves_the_cursor() -> None:
    """Control characters in names and reasons are blanked."""
    evil = OverrideStatus("o", OverrideKind.PAUSE, "all", "a\x1b[2Jb", "c\rd\ne", 1)
    text = status_text(a_status(overrides=(evil,), verdict="v\x1b]0;x\x07"))
    assert set(text) & set("\x1b\r\x07") == set()
    assert "c d e" in text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (-1, "0.0s"),
        (0.44, "0.4s"),
        (9.94, "9.9s"),
        (41.2, "41s"),
        (59.9, "1m00s"),
        (3500, "58m20s"),
        (11_530, "3h12m"),
        (86_400, "1d"),
        (100_000, "1d3h"),
    ],
)
def test_spans_read_as_people_say_them(seconds: float, text: str) -> None:
    """Two units at most."""
    assert span(seconds) == text


def test_the_switch_s_word_stands_under_a_patient() -> None:
    """A node that is ill in its own right shows what the switch says of it; others don't."""
    told = ("heartbeat: lost, the last 50 s ago", "port 36: link up, 4.1 W, class 4: hung")
    ill = a_node_status("green1", state=NodeState.SICK, verdict=Verdict.HUNG, evidence=told)
    explained = a_node_status("green2", state=NodeState.EXPLAINED, evidence=told)
    lines = status_lines(a_status(nodes=(ill, explained)))
    assert lines.count("  port 36: link up, 4.1 W, class 4: hung") == 1
    assert lines[-2].strip() == told[-1]
