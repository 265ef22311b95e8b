"""How clients of versions 0, 7 and 8 get in, or do not, on real sockets."""

from __future__ import annotations

import logging

import pytest
import trio

import wsframe
from tests.hixie76.hixie_peer import discarded
from tests.hostile.place import Place
from tests.old_peer import ALL, CLOSING, NONCE, ORIGIN, Old, connected, draft, old_connected, old_head, text
from tests.recorder import Echo, Recorder
from tests.wire import BOUND, Frame, ask, frame, head, serving, stream_to
from tests.wire import text as new_text

EVIL = "http://evil.example"


async def status(server: wsframe.Server, request: bytes) -> int:
    return int((await ask(server, request)).split(b" ", 2)[1])


async def test_they_are_refused_unless_enabled() -> None:
    async with serving(Recorder()) as server:
        for request in (head("/", draft(8)), head("/", draft(7)), old_head() + NONCE):
            answer = await ask(server, request)
            assert answer.startswith(b"HTTP/1.1 426 ")
            assert b"\r\nSec-WebSocket-Version: 13\r\n" in answer


async def test_the_refusal_of_others_lists_what_is_enabled() -> None:
    async with serving(Recorder(), versions=[13, 8, 0]) as server:
        answer = await ask(server, head("/", draft(7)))
        assert answer.startswith(b"HTTP/1.1 426 ")
        assert b"\r\nSec-WebSocket-Version: 13, 8\r\n" in answer


@pytest.mark.parametrize("versions", [(), (8,), (13, 14), (13, "8")])
async def test_versions_that_cannot_be_served_are_a_mistake(versions: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="versions must include 13"):
        await wsframe.serve(versions=versions)


@pytest.mark.parametrize("version", [13, 8, 7])
async def test_drafts_7_and_8_are_served_as_13_is(version: int) -> None:
    resource = Echo()
    async with serving(resource, versions=ALL) as server, connected(server, version) as peer:
        await peer.send(new_text("grüß"), frame(2, b"\xff\x00"))
        assert await peer.receive_text() == "grüß"
        assert await peer.receive() == Frame(2, b"\xff\x00")
        client = resource.only
        assert (client.version, client.request.version, client.request.origin) == (version, version, ORIGIN)
        assert client.ping(b"are you there?")
        assert await peer.receive() == Frame(9, b"are you there?")
        await peer.finish(4001)
        await resource.journal.until("disconnected 4001")


async def test_version_0_is_served_text() -> None:
    resource = Echo()
    async with serving(resource, versions=ALL) as server, old_connected(server, "/?a=b") as peer:
        assert b"\r\nUpgrade: WebSocket\r\n" in peer.answer
        assert b"\r\nSec-WebSocket-Origin: http://localhost\r\n" in peer.answer
        assert peer.answer.endswith(b"\r\nSec-WebSocket-Location: ws://localhost/?a=b")
        await peer.send(text("grüß"), discarded(b"binary"), text("x" * 100_000))
        assert await peer.receive() == "grüß"
        assert await peer.receive() == "x" * 100_000
        client = resource.only
        assert (client.version, client.request.version, client.request.origin) == (0, 0, ORIGIN)
        assert (client.extensions, await client.measure_latency()) == ((), None)
        assert client.statistics().messages_received == 2


async def test_it_is_served_with_every_poller_and_over_tls(place: Place) -> None:
    resource = Echo()
    async with place.serve(resource, versions=ALL) as served:
        connection = await served.connect()
        peer = Old(connection.stream)
        await peer.open(old_head() + NONCE)
        scheme = b"ws" if place.tls is None else b"wss"
        assert peer.answer.endswith(b"\r\nSec-WebSocket-Location: " + scheme + b"://localhost/")
        for message in ("grüß", "x" * 200_000, ""):
            await peer.send(text(message))
            assert await peer.receive() == message
        await peer.send(CLOSING)
        await peer.receive_closing()
        await resource.journal.until("disconnected 1005")
        connection.hang_up()


async def test_its_handshake_may_come_in_pieces_with_messages_behind_it() -> None:
    resource = Echo()
    async with serving(resource, versions=ALL) as server, stream_to(server) as stream:
        peer = Old(stream)
        request = old_head()
        await peer.open(request[:50], request[50:] + NONCE[:3], NONCE[3:] + text("early") + b"\x00ha")
        await peer.send(b"lf\xff")
        assert [await peer.receive(), await peer.receive()] == ["early", "half"]


async def test_its_subprotocol_is_agreed_on() -> None:
    class Chat(Recorder):
        subprotocols = ("v2", "chat")

    resource = Chat()
    chat = {"Sec-WebSocket-Protocol": "chat"}
    async with serving(resource, versions=ALL) as server, old_connected(server, fields=chat) as peer:
        assert b"\r\nSec-WebSocket-Protocol: chat" in peer.answer
        await resource.journal.until("connected")
        assert resource.only.subprotocol == "chat"


async def test_compression_is_for_13_alone() -> None:
    resource = Echo()
    offer = {"Sec-WebSocket-Extensions": "permessage-deflate"}
    async with serving(resource, versions=ALL, deflate=wsframe.Deflate.shared(threshold=0)) as server:
        for version in (8, 7):
            assert b"Extensions" not in await ask_open(server, head("/", {**draft(version), **offer}))
        assert b"Extensions: permessage-deflate" in await ask_open(server, head("/", {**draft(13), **offer}))
        async with old_connected(server, fields=offer) as peer:
            assert b"Extensions" not in peer.answer
            await peer.send(text("plain" * 100))
            assert await peer.receive() == "plain" * 100


async def ask_open(server: wsframe.Server, request: bytes) -> bytes:
    async with stream_to(server) as stream:
        await stream.send_all(request)
        return bytes(await stream.receive_some())


@pytest.mark.parametrize("validator", [wsframe.same_origin, wsframe.origin_exact(ORIGIN)])
async def test_a_foreign_origin_is_refused_in_every_version(validator: wsframe.OriginValidator) -> None:
    registry = wsframe.Registry()
    registry.register("/", Recorder(), validator)
    with trio.fail_after(BOUND):
        async with wsframe.open_server(registry, port=0, versions=ALL) as server:
            for version in (13, 8, 7):
                assert await status(server, head("/", draft(version, EVIL))) == 403
                assert (await ask_open(server, head("/", draft(version)))).startswith(b"HTTP/1.1 101 ")
            assert await status(server, head("/", {"Origin": EVIL, "Sec-WebSocket-Origin": ORIGIN})) == 403
            assert await status(server, head("/", {**draft(8, EVIL), "Origin": ORIGIN})) == 403
            assert await status(server, old_head("/", {"Origin": EVIL, "Sec-WebSocket-Origin": ORIGIN}) + NONCE) == 403
            async with old_connected(server):
                pass


@pytest.mark.parametrize("version", [13, 8, 7])
async def test_leaving_the_origin_out_passes_only_who_lets_programs_in(version: int) -> None:
    registry = wsframe.Registry()
    registry.register("/", Recorder(), wsframe.origin_exact(ORIGIN))
    with trio.fail_after(BOUND):
        async with wsframe.open_server(registry, port=0, versions=ALL) as server:
            assert await status(server, head("/", {"Sec-WebSocket-Version": str(version)})) == 403


async def test_version_0_cannot_leave_it_out() -> None:
    async with serving(Recorder(), versions=ALL) as server:
        request = old_head().replace(b"Origin: http://localhost\r\n", b"") + NONCE
        assert await status(server, request) == 400


@pytest.mark.parametrize("sent", [b"", NONCE[:7]])
async def test_a_nonce_that_does_not_come_is_waited_for_no_longer_than_a_request(sent: bytes) -> None:
    async with serving(Recorder(), versions=ALL, timeouts=wsframe.Timeouts(handshake=0.1)) as server:
        assert await status(server, old_head() + sent) == 408


async def test_who_leaves_before_the_nonce_is_gone(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "wsframe")
    async with serving(Recorder(), versions=ALL) as server, stream_to(server) as stream:
        await stream.send_all(old_head() + NONCE[:7])
        await stream.send_eof()
        assert await stream.receive_some() == b""
    assert "gone before its request was whole" in caplog.text


async def test_who_dawdles_over_the_nonce_makes_room_for_others(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("wsframe.server.newcomers.pending.PATIENCE", 0.1)
    resource = Echo()
    async with (
        serving(resource, versions=ALL, capacity=wsframe.Capacity(max_pending_handshakes=1)) as server,
        stream_to(server) as slow,
    ):
        await slow.send_all(old_head())
        while not server.statistics().pending_handshakes:  # noqa: ASYNC110
            await trio.sleep(0.01)
        await trio.sleep(0.15)
        async with stream_to(server) as stream:
            await Old(stream).open(old_head() + NONCE)
        assert (await slow.receive_some()).startswith(b"HTTP/1.1 408 ")


async def test_a_resource_that_sends_binary_refuses_it() -> None:
    class Binary(Recorder):
        async def accept_client(self, request: wsframe.Request) -> None:
            if request.version == 0:
                raise wsframe.Reject(403, body="binary messages are sent here")

    async with serving(Binary(), versions=ALL) as server:
        assert await status(server, old_head() + NONCE) == 403
