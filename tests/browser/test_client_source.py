"""The browser client by itself, in Node, and how it is served."""

import subprocess
from importlib.resources import files
from pathlib import Path

import wsframe
from tests.patience import PATIENCE
from tests.recorder import Recorder
from tests.requirements import require
from tests.wire import ask, serving
from wsframe import Request, browser_client, browser_client_source

FOLDER = Path(__file__).parent


def test_its_logic_in_node() -> None:
    command = [require("node"), "--test", str(FOLDER / "wsframe.test.mjs")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE)
    assert done.returncode == 0, done.stdout
    assert "# fail 0" in done.stdout


def test_it_is_in_the_package_with_its_types() -> None:
    folder = files(wsframe).joinpath("browser")
    assert folder.joinpath("wsframe.js").read_text(encoding="utf-8") == browser_client_source()
    assert "export class Connection" in folder.joinpath("wsframe.d.ts").read_text(encoding="utf-8")


async def test_it_is_served_as_a_module() -> None:
    answer = await browser_client(Request("/anything.js", []))
    assert (answer.status, answer.body.decode()) == (200, browser_client_source())
    assert answer.content_type == "text/javascript; charset=utf-8"


async def test_a_browser_that_has_it_gets_no_copy() -> None:
    headers = dict((await browser_client(Request("/", []))).headers)
    tag = headers["ETag"].encode()
    again = await browser_client(Request("/", [(b"If-None-Match", b'"other", ' + tag)]))
    assert (again.status, again.body) == (304, b"")
    changed = await browser_client(Request("/", [(b"If-None-Match", b'"other"')]))
    assert changed.status == 200


async def test_it_serves_as_the_handler_of_a_server() -> None:
    async with serving(Recorder(), http_handler=browser_client) as server:
        answer = await ask(server, b"GET /wsframe.js HTTP/1.1\r\nHost: localhost\r\n\r\n")
    head, _, body = answer.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200 ")
    assert b"Content-Type: text/javascript; charset=utf-8" in head
    assert body.decode() == browser_client_source()
