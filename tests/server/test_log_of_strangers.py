"""Peer input in the log and in answers: cut, and counted where it comes too often."""

from __future__ import annotations

import logging
from collections.abc import Callable

import pytest

import wsframe
from tests.hostile.place import Place, Recorder, until
from tests.wire import upgrade
from wsframe import Accept, Reject, Request
from wsframe.log import log_for

Lines = Callable[[], list[str]]

LONG = "a" * 15_000


def letters(text: str) -> int:
    return max(text.count(letter) for letter in "a\u00e9") + 4 * text.count("\\x")


STRANGE = {
    "path": upgrade(f"/{LONG}"),
    "Host": upgrade(host=LONG),
    "Host with control characters": upgrade(host="\x01" * 15_000),
    "Origin": upgrade("/same", origin=f"http://{LONG}"),
    "Origin in Latin-1": upgrade("/same", origin="\x80" * 15_000),
    "Host and Origin": upgrade("/same", host="localhost", origin=LONG),
    "method": upgrade(start=f"{LONG} {{}} HTTP/1.1"),
    "name of a field": upgrade(changes={LONG: "x", "host": None}),
    "version": upgrade(sec_websocket_version=LONG),
    "path of a reject": upgrade(f"/echoing/{LONG}"),
    "path of a failure": upgrade(f"/failing/{LONG}"),
    "subprotocol": upgrade("/failing/x", sec_websocket_protocol=LONG),
    "subprotocol not offered": upgrade("/choosing", sec_websocket_protocol=LONG),
    "path of a factory": upgrade(f"/made/{LONG}"),
}


class Echoing(Recorder):
    async def accept_client(self, request: Request) -> Reject:
        return Reject(404, body="no " + request.path)


class Failing(Recorder):
    async def accept_client(self, request: Request) -> None:
        raise KeyError(request.path)


class Choosing(Recorder):
    async def accept_client(self, request: Request) -> Accept:
        return Accept("other")


def strange_registry() -> wsframe.Registry:
    registry = wsframe.Registry()
    registry.register("/same", Recorder())
    registry.register("/echoing/{x}", Echoing(), wsframe.any_origin)
    registry.register("/failing/{x}", Failing(), wsframe.any_origin)
    registry.register("/choosing", Choosing(), wsframe.any_origin)
    registry.register_factory("/made/{x}", lambda request: None, wsframe.any_origin)
    return registry


@pytest.mark.parametrize("data", STRANGE.values(), ids=STRANGE)
async def test_peer_input_is_cut_in_lines_and_answers(
    plain: Place, data: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", logger="wsframe")
    async with plain.serve_registry(strange_registry()) as served:
        answer = await served.ask(data)
        assert answer.status >= 400
        if b"/echoing" not in data:  # its answer is its own
            assert letters(answer.text) <= 200 + len("answers to that, and such words as are ours")
        await until(lambda: caplog.records)
    shown = logging.Formatter("%(message)s")
    for record in caplog.records:
        for line in shown.format(record).split("\n"):
            assert len(line) <= 350, line


async def test_lines_of_a_client_and_its_repr_are_cut(plain: Place, info: Lines) -> None:
    resource = Recorder()
    registry = wsframe.Registry()
    registry.register("/x/{y}", resource, wsframe.any_origin)
    async with plain.serve_registry(registry) as served:
        peer = await served.connect()
        assert (await peer.upgrade(f"/x/{LONG}")).status == 101
        await until(lambda: resource.clients)
        (client,) = resource.clients
        assert len(repr(client)) < 250
        assert len(repr(client.request)) < 250
        assert client.path == f"/x/{LONG}"
        await peer.send(b"\xff\xff\xff")
        await peer.rest.until_close()
        peer.hang_up()
        await until(lambda: any("closed 1002" in line for line in info()))
        assert all(len(line) < 250 for line in info())


@pytest.fixture
def one_second(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have all lines of a test come within a second."""
    for room in ("wsframe.server", "wsframe.hooks"):
        monkeypatch.setattr(log_for(f"{room}.any")._spared, "_clock", lambda: 0.0)


@pytest.mark.usefixtures("one_second")
async def test_refusals_are_counted_where_they_come_too_often(plain: Place, info: Lines) -> None:
    async with plain.serve(Recorder()) as served:
        for _ in range(30):
            assert (await served.ask(upgrade("/nowhere"))).status == 404
        assert (await served.ask(upgrade(host="evil.example"))).status == 400
    lines = info()
    counts = [line for line in lines if "more like it in the last second" in line]
    shown = [line for line in lines if "refused with 404" in line and line not in counts]
    assert counts
    assert len([line for line in lines if "refused with 400" in line]) == 1
    assert all("refused with 404: no resource at '/nowhere' ... and " in line for line in counts)
    assert len(shown) + sum(int(line.split()[-8]) for line in counts) == 30


@pytest.mark.usefixtures("one_second")
async def test_a_hook_that_fails_again_and_again_is_counted(plain: Place, caplog: pytest.LogCaptureFixture) -> None:
    class Failing(Recorder):
        on_hook_failed = "drop_message"

        async def received_text(self, client: wsframe.Client, message: str) -> None:
            if message == "last":
                client.close()
            raise ValueError(message)

    caplog.set_level("INFO", logger="wsframe")
    async with plain.serve(Failing()) as served:
        peer = await served.open()
        await peer.text(*200 * ["bad"], "last")
        await peer.rest.until_close()
    lines = [record.getMessage() for record in caplog.records]
    assert 10 <= len([line for line in lines if "received_text of Failing failed" in line]) < 150
    assert [line for line in lines if "more like it in the last second" in line]


@pytest.mark.parametrize("reset", [False, True])
async def test_a_probe_that_says_nothing_leaves_no_line(place: Place, info: Lines, reset: bool) -> None:
    async with place.serve(Recorder()) as served:
        for _ in range(5):
            probe = await served.connect(plain=True)
            await until(lambda: served.server.statistics().pending_handshakes)
            if reset:
                probe.reset()
            else:
                probe.hang_up()
            await until(lambda: not served.server.statistics().pending_handshakes)
        await (await served.open()).close()
        assert [line for line in info() if "serving at" not in line] == []


async def test_a_peer_that_breaks_off_in_its_request_leaves_one_line(plain: Place, info: Lines) -> None:
    async with plain.serve(Recorder()) as served:
        peer = await served.connect()
        await peer.send(b"GET / HTTP/1.1\r\n")
        await until(lambda: served.server.statistics().pending_handshakes)
        peer.reset()
        await until(lambda: [line for line in info() if peer.name in line])
        assert len([line for line in info() if peer.name in line]) == 1


async def test_subprotocols_of_which_none_is_agreed_on_leave_one_line(plain: Place, info: Lines) -> None:
    class Speaking(Recorder):
        subprotocols = ("chat",)

    async with plain.serve(Speaking()) as served:
        found: list[str] = []
        for offered, lines in ((None, 0), ("chat, soap", 0), ("soap, x", 1)):
            peer = await served.connect()
            assert (await peer.upgrade(sec_websocket_protocol=offered)).status == 101
            found = [line for line in info() if "subprotocol" in line]
            assert len(found) == lines
            await peer.close()
        assert found[0].endswith("no subprotocol agreed on: offered are 'soap, x', Speaking has chat")
