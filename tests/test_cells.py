"""The tables of translations: the Python of each row runs, with live objects."""

import re
from pathlib import Path

import pytest

from tests.cell_objects import GIVEN, perform
from tests.cells import PAGES, TABLES, Cell, page_cells, rows_of
from tests.documents import ROOT

CELLS = [Cell(row.id, row.here) for table in TABLES for row in rows_of(table)]
CELLS += [cell for page in PAGES for cell in page_cells(page)]

# Work of the server itself, or missing features: nothing is written for them.
NOTHING_TO_WRITE = set(
    "C-14 C-34 C-60 C-61 C-62 C-65 C-67 C-68 C-69 C-70 C-80 C-87 P-14 P-16 W-09 W-16 W-17 H-05 H-09".split()  # noqa: SIM905
)

WRONG = {
    "wsframe serve": "no Python",
    "Limits(max_message=...)": "not complete",
    "path=None": "does nothing",
    "http_handler=page": "does nothing",
    "'drop_message'": "does nothing",
    "client.send_text": "not called",
    "Resource.clients": "not called",
    "client.drained()": "not awaited",
    "client.rejected is True": "False",
    "unregister_global_resource('/nowhere')": "False",
    "client.sent": "no attribute 'sent'",
    "await resource.cal(count)": "no attribute 'cal'",
    "await resource.call(nothing)": "'nothing' is not defined",
    "client.send_text('hi', size=4)": "unexpected keyword argument 'size'",
    "Limits(max_messages=1)": "unexpected keyword argument 'max_messages'",
    "run(ports=1)": "no option 'ports': is it 'port'",
    "await serve(registry, ports=1)": "no option 'ports'",
    "async with connect(url, path='/') as ws: await ws.send('hi')": "unexpected keyword argument 'path'",
    "async with connect(url) as ws: ws.send('hi')": "never awaited",
    "run_handlers(request_verifier='known')": "a handler is a function",
    "class Room(Resource): ordering = 'none'": "ordering must be one of",
    "Accept(subprotocol='unknown')": "500",
    "registry.register_factory('/rooms/{room}', count)": "500",
    "registry.register_dispatcher(count)": "500",
    "async def accept_client(self, request): return request": "500",
    "async def received_text(self, client, message): client.write(message)": "received_text of Made failed",
    "async def received_pong(self, client): print(client)": "received_pong of Made failed",
    "def received_text(self, client, message): client.send(message)": "must be a coroutine function",
    "async def received_json(self, client, message): print(message)": "must annotate its message",
    "async def receive_text(self, client, message): client.send(message)": "nothing calls receive_text",
}


@pytest.mark.parametrize("cell", CELLS, ids=str)
def test_the_python_of_a_row_runs(cell: Cell, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert bool(cell.python) is (cell.id not in NOTHING_TO_WRITE)
    for text in cell.python:
        perform(text)


@pytest.mark.parametrize(("text", "why"), WRONG.items())
def test_wrong_python_would_be_noticed(text: str, why: str) -> None:
    with pytest.raises(Exception, match=why):
        perform(text)


@pytest.mark.parametrize("cell", CELLS, ids=str)
def test_no_python_is_marked_as_something_else(cell: Cell) -> None:
    for role, marked in cell.roles:
        match role:
            case "samp":
                assert marked.startswith(("--", "wsframe "))
            case "file":
                assert (ROOT / marked).is_file()
            case "doc" | "ref":
                pass
            case _:
                assert not role
                assert re.fullmatch(r"wsframe\.\w+|[\w ]+ <wsframe\.[\w.]+>", marked)


def test_each_table_of_a_page_says_what_to_write_here() -> None:
    for page in PAGES:
        tables = page.read_text().count(".. csv-table::")
        assert 0 < tables <= len(list(page_cells(page)))
    assert len({cell.id for cell in CELLS}) == len(CELLS)
    assert {cell.id for cell in CELLS} >= NOTHING_TO_WRITE


def test_the_names_in_the_cells_are_explained() -> None:
    text = (ROOT / "docs/reference/feature-rows.rst").read_text().partition(".. _names-in-cells:")[2]
    assert set(re.findall(r"``(\w+)``", text.partition("\n\nclws\n")[0])) == GIVEN
