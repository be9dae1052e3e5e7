"""`swctrl port show`: only rows that begin as they must are read."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from supervisor.actuators.power.swctrl_links import parse

TABLE = """\
  Port Link  Rate      Tx-Bytes  Rx-Bytes  STP-State
     1 U/U   100F    104575713   46802349  forwarding
     4 U/D     0H           70    1909271  disabled
    15 D/D     0H            0          0  disabled
 @U 49 U/U 10000F     20968403   11765150  forwarding
"""


def test_links() -> None:
    """The second letter is the link; the uplink's marks don't matter."""
    assert parse(TABLE) == {1: True, 4: False, 15: False, 49: True}
    assert parse(TABLE.replace("\n", "\r\r\n")) == parse(TABLE)


@pytest.mark.parametrize(
    "row",
    [
        "  7 up 1000F 0 0",
        "  7 U/X 1000F 0 0",
        "  7 U/U auto 0 0",
        "x 7 U/U 1000F 0",
        "7",
        "",
        "  7 U/U",
    ],
)
def test_another_row_says_nothing(row: str) -> None:
    """A row that doesn't begin with port, link and rate is no data, and spoils no other."""
    assert parse(TABLE + row + "\n") == parse(TABLE)


def test_a_port_twice_says_nothing() -> None:
    """Of a port that stands there twice nothing is claimed."""
    assert parse(TABLE + "     1 U/D     0H 0 0\n") == {4: False, 15: False, 49: True}


@given(st.text())
def test_any_text(text: str) -> None:
    """Whatever a switch prints, the answer is port numbers and truths."""
    assert all(0 <= port <= 999 for port in parse(text))
