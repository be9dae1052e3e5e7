"""Reading `swctrl mac show`: an address is told with its own port, or not at all."""

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from supervisor.actuators.power.swctrl_macs import MacTableError, parse

RECORDED = """\
port vlan mac-address       ip-address      hostname          uptime age wireless-type
---- ---- ----------------- --------------- ---------------- ------ --- -------------
   9    1 DC:A6:32:00:00:09 192.168.1.9     pi-backup          3600   1
@  15    1 dc:a6:32:00:00:0f                                     12   1
  33    1 dc:a6:32:00:00:21 192.168.1.33                       3600   1
  33    1 dc:a6:32:00:00:22
  34    1 dc:a6:32:00:00:22
Total number of entries: 5
"""


def test_it_reads_the_recorded_table() -> None:
    """Blank cells and flags don't matter; an address behind two ports is left out."""
    found = {"dc:a6:32:00:00:09": 9, "dc:a6:32:00:00:0f": 15, "dc:a6:32:00:00:21": 33}
    assert parse(RECORDED) == found
    assert parse(RECORDED.replace("\n", "\r\r\n")) == found


@pytest.mark.parametrize(
    "titles",
    [
        "",
        "vlan mac-address ip-address",
        "port vlan bridge ip-address",
        "mac-address ip-address port",
        "port vlan mac-address port",
        "port vlan mac-address mac",
    ],
)
def test_without_telling_titles_nothing_is_told(titles: str) -> None:
    """A table whose port or address can't be found for sure is refused as a whole."""
    with pytest.raises(MacTableError):
        parse(titles + RECORDED[RECORDED.index("\n") :])


_macs = st.integers(0, 2**48 - 1).map(
    lambda number: ":".join(f"{byte:02x}" for byte in number.to_bytes(6, "big"))
)
_words = st.text(st.characters(codec="utf-8", exclude_categories=["Z", "C"]), max_size=12)
_cells = st.one_of(st.just(""), _words, st.integers(0, 4094).map(str), _macs)
_extras = st.sampled_from(["vlan", "type", "ip-address", "hostname", "uptime", "age", "index"])


@given(
    truth=st.dictionaries(_macs, st.integers(1, 48), min_size=1, max_size=6),
    others=st.lists(_extras, unique=True, max_size=6),
    kept=st.sets(st.sampled_from(["port", "mac-address"]), min_size=1),
    cut=st.none() | st.integers(0, 60),
    noise=st.tuples(_words, _words),
    end=st.sampled_from(["\n", "\r\n", "\r\r\n"]),
    data=st.data(),
)
def test_no_address_is_ever_told_with_another_port(
    truth: dict[str, int],
    others: list[str],
    kept: set[str],
    cut: int | None,
    noise: tuple[str, str],
    end: str,
    data: st.DataObject,
) -> None:
    """Columns in any order, missing, blank, full of numbers and addresses; noise; a cut end."""
    order = data.draw(st.permutations([*sorted(kept), *others]))
    lines = [noise[0], " ".join(f"{title:>18}" for title in order)]
    strangers = set()
    for mac, port in truth.items():
        cells = dict.fromkeys(order, "") | {title: data.draw(_cells) for title in others}
        strangers |= {cell for cell in cells.values() if ":" in cell}
        cells |= {"port": str(port), "mac-address": mac}
        lines.append(" ".join(f"{cells[title]:>18}" for title in order))
    text = end.join([*lines, noise[1], ""])
    assume(not strangers & truth.keys())
    try:
        found = parse(text if cut is None else text[: len(text) - cut])
    except MacTableError:
        return
    assert kept == {"port", "mac-address"}
    assert found.items() <= truth.items()


@given(st.text(max_size=300) | st.text(alphabet=" \n\rportmac-des0123:f@u", max_size=300))
def test_any_text_is_read_or_refused(text: str) -> None:
    """Nothing but MacTableError comes out of nonsense."""
    try:
        found = parse(text)
    except MacTableError:
        return
    assert all(0 <= port < 1000 for port in found.values())
