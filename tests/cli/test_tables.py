"""Tables of plain text."""

from wsframe.cli.tables import columns, printable


def test_columns_are_as_wide_as_their_widest_cell() -> None:
    lines = list(columns(("path", "clients"), [("/", "7"), ("/long/path", "12")], right=[1]))
    assert lines == ["path        clients", "/                 7", "/long/path       12"]


def test_no_line_ends_with_blanks() -> None:
    assert list(columns(("a", "note"), [("bb", "")])) == ["a   note", "bb"]


def test_what_a_terminal_obeys_is_replaced() -> None:
    assert printable("a\x1b[2J\nß\u202e") == "a\ufffd[2J\ufffdß\ufffd"
