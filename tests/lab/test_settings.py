"""The lab's pace: real runbooks, with waits that suit Pis which boot in seconds."""

import pytest

from lab.settings import at_lab_pace


@pytest.mark.parametrize(("real", "lab"), [("180", "60"), ("60", "20"), ("12", "10"), ("5", "5")])
def test_holds_are_shortened(real: str, lab: str) -> None:
    """A third of the real hold time, but no less than ten seconds, and never longer."""
    assert at_lab_pace(f"[match]\nhold_s = {real}\n") == f"[match]\nhold_s = {lab}\n"


def test_nothing_else_changes() -> None:
    """Only hold times are touched."""
    text = "why = '''hold_s = 180 is long'''\nconfirm_s = 20\n# hold_s = 9\n"
    assert at_lab_pace(text) == text
