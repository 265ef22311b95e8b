"""Programs of the pages on coming from elsewhere serve the pages of programs written with other libraries."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest
from selenium.webdriver import Chrome
from selenium.webdriver.support.wait import WebDriverWait

from tests.documents import ROOT, code_blocks
from tests.examples.running import program_running
from tests.patience import PATIENCE

DOCUMENTS = ROOT / "docs/reference/coming-from"

# The pages of the seeds connect to a port of their own choice, and show the result.
PAGE = """<!doctype html><title>waiting</title><script>
const socket = new WebSocket("{url}")
socket.onopen = () => {{ document.title = "open"; socket.send("hello") }}
socket.onmessage = event => {{ document.title = "heard " + event.data }}
socket.onclose = event => {{ document.title = "closed " + event.code }}
</script>
"""
# The first call of run() in a document, which would choose its port; told where it is by a free one.
RUN = re.compile(r"^( *)wsframe\.(run|run_handlers)\((.*?)\)$", re.MULTILINE | re.DOTALL)
ANNOUNCED = """
def announce(server):
    print(server.addresses[0].replace("ws:", "http:") + "/", flush=True)
"""


@contextmanager
def document_running(name: str, call: str, folder: Path) -> Iterator[str]:
    """Run the Python of a document as one program, up to one of its calls; give the address."""
    source = "".join(block.code for block in code_blocks(DOCUMENTS / name, "python"))
    found = next(found for found in RUN.finditer(source) if found[2] == call)
    options = re.sub(r"port=\d+", "port=0", found[3]).rstrip().rstrip(",")
    program = folder / "program.py"
    before = RUN.sub(r"\1pass", source[: found.start()])
    program.write_text(
        f"{before}{found[1]}exec({ANNOUNCED!r})\n{found[1]}wsframe.{call}({options}, started=announce)\n"
    )
    with program_running(sys.executable, str(program)) as address:
        yield address


@contextmanager
def page_served(page: str) -> Iterator[str]:
    """Serve a page at a port of its own; give its address."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = page.encode()
            self.send_response(200)
            self.send_header("Content-Type", "text/html; charset=utf-8")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *args: object) -> None: ...

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://localhost:{server.server_address[1]}/"
        finally:
            server.shutdown()
            thread.join()


def title_of(browser: Chrome, address: str) -> str:
    """Return the title that a page gives itself in the end."""
    first = browser.current_window_handle
    browser.switch_to.new_window("window")
    browser.get(address)
    try:
        WebDriverWait(browser, PATIENCE).until(lambda _: browser.title.startswith(("heard", "closed")))
        return browser.title
    finally:
        browser.close()
        browser.switch_to.window(first)


@pytest.mark.parametrize("path", ["/", "/chat"])
def test_the_chat_serves_the_page_of_the_cookbook_from_another_port(browser: Chrome, tmp_path: Path, path: str) -> None:
    with document_running("websocket-driver.rst", "run", tmp_path) as address:
        url = address.replace("http://127.0.0.1", "ws://localhost") + path
        with page_served(PAGE.format(url=url)) as page:
            assert re.fullmatch(r"heard user-\d+: hello", title_of(browser, page))


@pytest.mark.parametrize(("call", "path"), [("run", "/welcome"), ("run_handlers", "/WS?r=1")])
def test_what_was_portal_or_easy_websocket_serves_a_page_from_a_file(
    browser: Chrome, tmp_path: Path, call: str, path: str
) -> None:
    with document_running("portal.rst", call, tmp_path) as address:
        page = tmp_path / "page.html"
        page.write_text(PAGE.format(url=address.replace("http:", "ws:") + path))
        assert title_of(browser, page.as_uri()) in ("heard welcome", "heard hello")


def test_what_was_hunchensocket_serves_a_page_from_a_file(browser: Chrome, tmp_path: Path) -> None:
    source = "".join(block.code for block in code_blocks(DOCUMENTS / "hunchensocket.rst", "python"))
    program = tmp_path / "program.py"
    program.write_text(f"{source}{ANNOUNCED}\nwsframe.run(port=0, started=announce)\n")
    with program_running(sys.executable, str(program)) as address:
        page = tmp_path / "page.html"
        page.write_text(PAGE.format(url=address.replace("http:", "ws:") + "/bongo"))
        assert title_of(browser, page.as_uri()).endswith(": hello")
