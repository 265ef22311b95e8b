"""The tables of features: no row is left out, each names what there is, and tests that there are."""

import ast
import csv
import re
from collections.abc import Iterator
from functools import cache
from inspect import signature
from itertools import chain
from pathlib import Path
from typing import NamedTuple

import pytest

import wsframe
from tests.documents import ROOT

TABLES = {
    "clws": [f"C-{n:02}" for n in chain(range(1, 16), range(20, 38), range(40, 52), range(60, 74), range(80, 88))],
    "clws-fork": [f"F-{n:02}" for n in range(1, 8)],
    "portal": [f"P-{n:02}" for n in range(1, 18)],
    "easy-websocket": [f"E-{n:02}" for n in range(1, 13)],
    "websocket-driver": [f"W-{n:02}" for n in range(1, 18)],
    "hunchensocket": [f"H-{n:02}" for n in range(1, 10)],
}

PAGES = sorted(ROOT.glob("docs/reference/coming-from/*.rst"))

# What is not there, and nothing else in its place.
MISSING = {"C-65"}

# What the names in the tables are attributes of, where that is no name of the package.
OBJECTS = {"client": wsframe.Client, "request": wsframe.Request, "resource": wsframe.Resource}

# What programs written with these libraries use: the names they export.
EXPORTS = """
    write-to-client-text write-to-client-binary write-to-clients-text write-to-clients-binary
    write-to-client-close write-to-client-ping client-host client-port client-resource-name client-query-string
    client-connection-headers client-websocket-version client-connection-rejected any-origin origin-prefix
    origin-exact *max-clients* *max-read-frame-size* ws-resource register-global-resource find-global-resource
    unregister-global-resource resource-received-text resource-received-binary resource-received-pong
    resource-client-connected resource-client-disconnected run-resource-listener kill-resource-listener
    resource-accept-connection send-custom-message-to-resource call-on-resource-thread run-server
    *debug-on-server-errors* *debug-on-resource-errors* *protocol-76/00-support* *log-level*
    define-resource websocket header ready-state send send-ping close server server-close *debug-on-error*
    start stop with-client send-text send-binary close-connection version protocol
    make-server start-connection websocket-p make-client once clackup
    websocket-acceptor websocket-ssl-acceptor websocket-easy-acceptor websocket-easy-ssl-acceptor
    *websocket-dispatch-table* websocket-resource websocket-client client-request check-message clients
    client-connected client-disconnected binary-message-received text-message-received send-text-message
    send-binary-message
"""


class Row(NamedTuple):
    """A feature of one of the libraries."""

    id: str
    there: str
    here: str
    built: str
    tests: str

    def __str__(self) -> str:
        return self.id


def rows_of(table: str) -> Iterator[Row]:
    with (ROOT / f"docs/reference/rows/{table}.csv").open(newline="") as file:
        for fields in csv.reader(file, delimiter="|"):
            yield Row(*fields)


ROWS = [row for table in TABLES for row in rows_of(table)]


def test_every_exported_name_is_translated() -> None:
    pages = "".join(page.read_text() for page in PAGES)
    assert [name for name in EXPORTS.split() if f"``{name}``" not in pages] == []


@cache
def functions_in(path: str) -> set[str]:
    tree = ast.parse((ROOT / path).read_text() if (ROOT / path).is_file() else "")
    return {node.name for node in tree.body if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)}


@pytest.mark.parametrize("table", TABLES)
def test_every_row_is_there_once_and_in_order(table: str) -> None:
    assert [row.id for row in rows_of(table)] == TABLES[table]
    assert f":file: rows/{table}.csv" in (ROOT / "docs/reference/feature-rows.rst").read_text()


@pytest.mark.parametrize("row", ROWS, ids=str)
def test_a_row_has_tests_and_they_exist(row: Row) -> None:
    named = re.findall(r"``(tests/[\w/]+\.py)::(test_\w+)``", row.tests)
    assert " ".join(f"``{path}::{name}``" for path, name in named) == row.tests
    assert [name for path, name in named if name not in functions_in(path)] == []
    assert len(set(named)) == len(named)
    assert row.built in ("yes", "otherwise", "no")
    assert named or row.built == "no"


def test_what_is_not_there_is_known() -> None:
    assert {row.id for row in ROWS if row.built == "no"} == MISSING
    assert [row.id for row in ROWS if not row.there or not row.here] == []


def expressions(cell: str) -> Iterator[str]:
    """Yield what a cell shows as code: literals, and the texts of links."""
    yield from re.findall(r"``([^`]+)``", cell)
    yield from re.findall(r"(?<!`)`([^`<]+?)(?: <[^`>]+>)?`(?!`)", cell)


def options_of(name: str) -> set[str]:
    """Return the names of the arguments of something of wsframe."""
    found = getattr(wsframe, name)
    options = set(signature(found).parameters)
    return options | set(wsframe.ServeOptions.__annotations__) if "options" in options else options


def check_expression(source: str) -> bool:
    """Check the names in an expression; return whether it is one, of Python."""
    try:
        tree = ast.parse(f"async def expression():\n    {source}")
    except SyntaxError:
        return False
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
            owner = OBJECTS.get(node.value.id) or getattr(wsframe, node.value.id, None)
            owner = wsframe if node.value.id == "wsframe" else owner
            assert owner is None or hasattr(owner, node.attr), source
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            assert hasattr(wsframe, node.func.id), source
            assert {word.arg for word in node.keywords} <= options_of(node.func.id), source
    return True


@pytest.mark.parametrize("row", ROWS, ids=str)
def test_the_names_of_a_row_are_those_of_wsframe(row: Row) -> None:
    for source in expressions(row.here):
        check_expression(source)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_the_names_in_translations_are_those_of_wsframe(page: Path) -> None:
    cells = re.findall(r"^    \S.* \| (.*)$", page.read_text(), re.MULTILINE)
    assert len(cells) > 5
    assert sum(check_expression(source) for cell in cells for source in expressions(cell)) > 10


def test_a_wrong_name_would_be_noticed() -> None:
    for wrong in ("client.sent", "Limits(max_messages=1)", "await resource.cal(fn)", "run(ports=1)", "nothing()"):
        with pytest.raises(AssertionError):
            check_expression(wrong)
    assert not check_expression("wsframe serve")
