"""Entries by path, whatever they are."""

import pytest

from wsframe.resources.routing.path_table import PathTable, normal


def test_an_exact_path_comes_before_a_pattern() -> None:
    table: PathTable[str] = PathTable()
    assert table.put("/{name}", "pattern") is None
    assert table.put("/hall", "exact") is None
    assert table.match("/hall", "/hall") == ("exact", {})
    assert table.match("/a%20b", "/a%20b") == ("pattern", {"name": "a%20b"})
    assert table.match("/a/b", "/a/b") is None
    assert [path for path, _ in table.entries()] == ["/hall", "/{name}"]


def test_an_entry_is_taken_as_it_was_put() -> None:
    table: PathTable[str] = PathTable()
    table.put("/café", "one")
    table.put("/Loud", "two", ignore_case=True)
    table.put("/{a}/{b}", "three")
    assert (table.take("/caf%C3%A9"), table.take("/LOUD"), table.take("/{a}/{b}")) == ("one", "two", "three")
    assert (len(table), table.take("/café")) == (0, None)


def test_a_path_that_is_not_a_str_is_refused() -> None:
    with pytest.raises(TypeError, match="not int"):
        normal(3)
