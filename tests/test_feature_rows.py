"""The tables of features: no row is left out, and each names tests that there are."""

import ast
import re
from functools import cache

import pytest

from tests.cells import LISP, TABLES, Row, rows_of
from tests.documents import ROOT

# Features that are not there, and have no replacement.
MISSING = {"C-65"}

# Names that programs written with these libraries use: those they export.
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


ROWS = [row for table in TABLES for row in rows_of(table)]


def test_every_exported_name_is_translated() -> None:
    pages = "".join(page.read_text() for page in LISP)
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
