"""Reading `swctrl poe show`: right values or a refusal, never a wrong port."""

from collections.abc import Sequence

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from supervisor.actuators.power.swctrl_table import PoeRow, TableError, parse

RECORDED = """\
Total Power Limit(mW): 45000

Port  OpMode      HpMode    PwrLimit   Class   PoEPwr  PwrGood  Power(W)  Voltage(V)  Current(mA)
                              (mW)
----  ------  ------------  --------  -------  ------  -------  --------  ----------  -----------
   1    Auto        Dot3at     32000  Class 2      On     Good      1.38       53.24        26.00
   2    Auto        Dot3at     32000  Unknown     Off      Bad      0.00        0.00         0.00
  15     Off       Unknown        -1  Class 4     Off      Bad      0.00        0.00         0.00
"""
Known = tuple[int, str, bool | None, float | None, str | None]


def _known(row: PoeRow) -> Known:
    return row.port, row.admin, row.delivering, row.watts, row.pd_class


def test_it_reads_the_recorded_table() -> None:
    """Port, setting, delivery, watts and class come out, though `Class 2` holds a space."""
    rows = parse(RECORDED, ports=48)
    assert [_known(row) for row in rows.values()] == [
        (1, "auto", True, 1.38, "Class 2"),
        (2, "auto", False, 0.0, None),
        (15, "off", False, 0.0, "Class 4"),
    ]
    assert rows[1].raw == RECORDED.splitlines()[5]


def test_a_cell_wider_than_its_column_shifts_the_rest_and_nothing_else() -> None:
    """The known garbage `-1096017060` doesn't move any value into another column."""
    garbled = RECORDED.replace("   32000  Class 2", "-1096017060  Class 2")
    assert garbled != RECORDED
    assert {p: _known(r) for p, r in parse(garbled, ports=48).items()} == {
        p: _known(r) for p, r in parse(RECORDED, ports=48).items()
    }


def test_carriage_returns_do_not_matter() -> None:
    """Some shells end lines with one carriage return, or two."""
    for end in ("\r\n", "\r\r\n"):
        assert len(parse(RECORDED.replace("\n", end), ports=48)) == 3


def test_milliwatts_are_milliwatts() -> None:
    """The unit in the title counts; a strange unit makes the figure unknown."""
    columns = [("Port", 4, ["1"]), ("OpMode", 6, ["Auto"]), ("PoEPwr", 6, ["On"])]
    assert parse(_render([*columns, ("Power(mW)", 9, ["1380"])]), ports=48)[1].watts == 1.38
    assert parse(RECORDED.replace("Power(W)", "Power(V)"), ports=48)[1].watts is None


@pytest.mark.parametrize(
    ("said", "text"),
    [
        ("middle of a line", RECORDED[:-1]),
        ("no row of dashes", "ash: swctrl: not found\n"),
        ("no row of dashes", "\n"),
        ("no output", ""),
        ("no row", RECORDED[: RECORDED.index("   1    Auto")]),
        ("twice", RECORDED + RECORDED.splitlines()[5] + "\n"),
        ("cut short", RECORDED.replace("         0.00\n", "\n", 1)),
        ("isn't one of 1 to 48", RECORDED.replace("   2 ", "  49 ")),
        ("isn't one of 1 to 48", RECORDED.replace("   2 ", "   0 ")),
        ("no port number", RECORDED.replace("   2 ", "  2x ")),
        ("no port number", RECORDED.replace("   2 ", "  -2 ")),
        ("no port number", RECORDED.replace("   2 ", "   \u0662 ")),
        ("0 columns are titled 'poepwr'", RECORDED.replace("PoEPwr", "Powerd")),
        ("2 columns are titled 'port'", RECORDED.replace("OpMode", "Port  ")),
        ("over no single column", RECORDED.replace("Port  OpMode", "  Port  OpMode")),
        ("under no column", RECORDED.replace("   1    Auto", "   1 x  Auto")),
        ("more than one table", RECORDED + "\n" + RECORDED),
        ("under no column", RECORDED + "login: last attempt\n"),
    ],
)
def test_what_cannot_be_told_is_refused(said: str, text: str) -> None:
    """Every refusal says what is wrong."""
    with pytest.raises(TableError, match=said):
        parse(text, ports=48)


def test_unknown_words_are_unknown() -> None:
    """A word nobody knows is neither auto nor off, neither on nor off."""
    odd = RECORDED.replace("   1    Auto", "   1   Sched").replace("    On  ", " Maybe  ")
    assert _known(parse(odd, ports=48)[1])[:3] == (1, "unknown", None)


@pytest.mark.parametrize("cut", range(len(RECORDED)))
def test_a_truncated_table_shows_true_rows_or_none(cut: int) -> None:
    """Wherever the output is cut, what is read equals the full table's rows."""
    whole = parse(RECORDED, ports=48)
    try:
        rows = parse(RECORDED[:cut], ports=48)
    except TableError:
        return
    assert rows.items() <= whole.items()


# A switch that prints tables as this one does, with any columns in any order.
_WIDTHS = {"Port": 4, "OpMode": 6, "Class": 7, "PoEPwr": 6, "Power(W)": 8}
_words = st.text(
    st.characters(codec="utf-8", exclude_categories=["Z", "C"]), min_size=1, max_size=14
)
_garbage = st.lists(_words, max_size=3).map(" ".join)
_extras = st.lists(
    st.tuples(
        st.from_regex(r"X[a-z]{1,8}", fullmatch=True),
        st.integers(2, 12),
        st.lists(_garbage, min_size=4, max_size=4),
    ),
    max_size=4,
)
_rows = st.lists(
    st.tuples(
        st.integers(1, 48),
        st.sampled_from(["Auto", "Off"]),
        st.sampled_from(["Class 0", "Class 4", "Unknown"]),
        st.sampled_from(["On", "Off"]),
        st.decimals(0, 90, places=2).map(str),
    ),
    min_size=1,
    max_size=4,
    unique_by=lambda row: row[0],
)


def _render(columns: Sequence[tuple[str, int, Sequence[str]]]) -> str:
    titles = "  ".join(f"{name[:width]:^{width}}" for name, width, _ in columns)
    ruler = "  ".join("-" * width for _, width, _ in columns)
    count = len(columns[0][2])
    rows = ["  ".join(f"{cells[n]:>{width}}" for _, width, cells in columns) for n in range(count)]
    return "\n".join([titles, ruler, *rows, ""])


@given(rows=_rows, extras=_extras, dropped=st.sets(st.sampled_from(list(_WIDTHS))), data=st.data())
def test_permuted_extra_missing_and_garbage_columns(
    rows: list[tuple[int, str, str, str, str]],
    extras: list[tuple[str, int, list[str]]],
    dropped: set[str],
    data: st.DataObject,
) -> None:
    """Whatever stands around them, the values are right, unknown or refused."""
    columns = [
        (name, width, [str(row[at]) for row in rows])
        for at, (name, width) in enumerate(_WIDTHS.items())
        if name not in dropped
    ]
    columns += [(name, width, cells[: len(rows)]) for name, width, cells in extras]
    if not columns:
        return
    text = _render(data.draw(st.permutations(columns)))
    try:
        found = parse(text, ports=48)
    except TableError:
        return
    assert not dropped & {"Port", "OpMode", "PoEPwr"}
    for port, admin, pd_class, power, watts in rows:
        if port not in found:
            continue
        assert found[port].admin == admin.lower()
        assert found[port].delivering is (power == "On")
        assert found[port].watts == (None if "Power(W)" in dropped else float(watts))
        known = pd_class if pd_class != "Unknown" and "Class" not in dropped else None
        assert found[port].pd_class == known
    assert found.keys() <= {row[0] for row in rows}


@given(
    rows=_rows,
    order=st.permutations(list(_WIDTHS)),
    limit=st.sampled_from(["32000", "-1", "-1096017060", "Dot3at"]),
)
@example(rows=[(15, "Auto", "Class 4", "On", "3.40")], order=list(_WIDTHS), limit="-1096017060")
def test_tables_in_any_order_are_read_in_full(
    rows: list[tuple[int, str, str, str, str]], order: list[str], limit: str
) -> None:
    """No ordinary table is refused, whatever the order of its columns."""
    columns = [
        (name, _WIDTHS[name], [str(row[list(_WIDTHS).index(name)]) for row in rows])
        for name in order
    ]
    columns.insert(2, ("PwrLimit", 8, [limit] * len(rows)))
    assert parse(_render(columns), ports=48).keys() == {row[0] for row in rows}


# The whole table as the switch prints it, and all that a firmware or a bad line may do to it.
_GARBAGE = {
    "HpMode": ["Dot3at", "Dot3af", "Unknown", ""],
    "PwrLimit": ["32000", "-1", "-1096017060", "", "n/a"],
    "PwrGood": ["Good", "Bad", "On", "Off"],
    "Voltage(V)": ["53.24", "0.00", "-1096017060.00"],
    "Current(mA)": ["26.00", "Class 4", "Auto"],
}
_ALL_WIDTHS = _WIDTHS | {
    "HpMode": 12, "PwrLimit": 8, "PwrGood": 7, "Voltage(V)": 10, "Current(mA)": 11
}  # fmt: skip
_lines = st.text(st.characters(codec="utf-8", exclude_categories=["C", "Zl", "Zp"]), max_size=40)
Truth = tuple[int, str, str, str, str]


@st.composite
def _printed(draw: st.DrawFn) -> tuple[list[Truth], str, str]:
    """Draw what is true of some ports, a print of it, and how that print was damaged."""
    truth = draw(_rows)
    order = draw(st.permutations(list(_ALL_WIDTHS)))
    widths = {name: width + draw(st.integers(0, 6)) for name, width in _ALL_WIDTHS.items()}
    cells = {name: [str(row[at]) for row in truth] for at, name in enumerate(_WIDTHS)}
    cells |= {
        name: [draw(st.sampled_from(words)) for _ in truth] for name, words in _GARBAGE.items()
    }
    lines = _render([(name, widths[name], cells[name]) for name in order]).split("\n")
    head = ["Total Power Limit(mW): 45000", ""]
    damage = draw(st.sampled_from(["none", "none", "drift", "cut", "lost", "noise", "glued"]))
    at = draw(st.integers(0, len(lines) - 2))
    match damage:
        case "drift":  # a column wandered, in one line
            place = draw(st.integers(0, len(lines[at])))
            lines[at] = lines[at][:place] + " " * draw(st.integers(1, 9)) + lines[at][place:]
        case "lost":  # characters went missing; of a row only blanks, as ssh loses no digit
            place, gone = draw(st.integers(0, len(lines[at]))), draw(st.integers(1, 30))
            cut = lines[at][place : place + gone]
            kept = cut.replace(" ", "") if at > 1 else ""
            lines[at] = lines[at][:place] + kept + lines[at][place + gone :]
        case "noise":  # somebody else's line, anywhere
            lines.insert(draw(st.integers(0, len(lines) - 1)), draw(_lines))
        case "glued":  # a line end went missing
            lines[at : at + 2] = [lines[at] + lines[at + 1]]
        case _:
            pass
    text = draw(st.sampled_from(["\n", "\r\n", "\r\r\n"])).join([*head, *lines])
    if damage == "cut":
        text = text[: draw(st.integers(0, len(text) - 1))]
    return truth, text, damage


@given(_printed())
def test_whatever_happens_to_the_print_no_port_is_told_wrongly(
    printed: tuple[list[Truth], str, str],
) -> None:
    """Right, unknown or refused: on for off, or one port's state for another's, is never told."""
    truth, text, damage = printed
    states = {row[0]: row for row in truth}
    try:
        found = parse(text, ports=48)
    except TableError as error:
        refused, found = str(error), {}
    else:
        refused = ""
    if damage == "none":  # a blank last cell can't be told from a row cut short
        assert found.keys() == states.keys() or "cut short" in refused
    assert found.keys() <= states.keys()
    for port, row in found.items():
        _, admin, pd_class, power, watts = states[port]
        assert row.admin in {admin.lower(), "unknown"}
        assert row.delivering in {power == "On", None}
        assert row.pd_class in {pd_class if pd_class != "Unknown" else None, None}
        assert row.watts in {float(watts), None}


@given(st.text(max_size=300) | st.text(alphabet=" -\n\rPortOpModePoEPwr019Aufn", max_size=300))
def test_any_text_is_read_or_refused(text: str) -> None:
    """Nothing but TableError comes out of nonsense."""
    try:
        rows = parse(text, ports=48)
    except TableError:
        return
    assert all(1 <= port <= 48 for port in rows)
