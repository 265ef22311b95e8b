"""Clients of versions 0, 7 and 8 on real sockets: among the others, and out."""

from __future__ import annotations

import logging
import socket
from contextlib import AsyncExitStack

import pytest
import trio

import wsframe
from tests.hixie76.hixie_peer import announce, discarded
from tests.old_peer import ALL, CLOSING, connected, old_connected, text
from tests.recorder import Echo, Recorder
from tests.wire import TEXT, Frame, frame, serving
from wsframe.connection.link import Link


def link_of(resource: Recorder) -> Link:
    link = resource.only._link
    assert isinstance(link, Link)
    return link


async def test_a_broadcast_reaches_every_version() -> None:
    resource = Echo()
    async with serving(resource, versions=ALL) as server, AsyncExitStack() as stack:
        new = [await stack.enter_async_context(connected(server, version)) for version in (13, 8, 7)]
        old = await stack.enter_async_context(old_connected(server))
        await resource.journal.until("connected", 4)
        assert sorted(client.version for client in resource.clients) == [0, 7, 8, 13]
        assert resource.broadcast_text("grüß") == (4, 0)
        assert [await peer.receive_text() for peer in new] == ["grüß"] * 3
        assert await old.receive() == "grüß"
        with pytest.raises(wsframe.BinaryRefused):
            resource.broadcast_binary(b"binary")
        resource.broadcast_text("next", frame_size=2)
        assert await new[0].receive() == Frame(TEXT, b"ne", fin=False)
        assert await old.receive() == "next"


async def test_a_hook_that_sends_it_binary_fails() -> None:
    class Binary(Recorder):
        async def client_connected(self, client: wsframe.Client) -> None:
            client.send_binary(b"hello")

    resource = Binary()
    async with serving(resource, versions=ALL) as server, old_connected(server) as peer:
        await peer.receive_closing()


async def test_it_waits_as_others_do_while_hooks_are_busy() -> None:
    class Slow(Echo):
        limits = wsframe.Limits(max_queued_messages=4)

    resource = Slow()
    messages = [str(number) for number in range(500)]
    async with serving(resource, versions=ALL) as server, old_connected(server) as peer:
        await peer.send(text("hold"), *(text(message) + discarded(b"noise") for message in messages))
        await resource.journal.until("text hold")
        link = link_of(resource)
        while not link.inbox.paused:  # noqa: ASYNC110
            await trio.sleep(0.01)
        assert link.inbox.waiting == 4
        resource.release.set()
        assert [await peer.receive() for _ in range(501)] == ["hold", *messages]


async def test_the_kernel_looks_for_its_death_because_nobody_can_ping_it() -> None:
    resource = Recorder()
    timeouts = wsframe.Timeouts(ping_interval=7, ping_timeout=8)
    async with serving(resource, versions=ALL, timeouts=timeouts) as server:
        async with old_connected(server):
            await resource.journal.until("connected")
            sock = link_of(resource).transport.sock
            assert sock is not None
            assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE) == 1
            assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE) == 7
            assert not resource.only.ping()
        await resource.journal.until("disconnected 1006")
        async with connected(server, 8):
            await resource.journal.until("connected", 2)
            sock = link_of(resource).transport.sock
            assert sock is not None
            assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE) == 0


# Out


async def test_its_closing_handshake_is_answered_behind_the_replies() -> None:
    resource = Echo()
    async with serving(resource, versions=ALL) as server, old_connected(server) as peer:
        await resource.journal.until("connected")
        client = resource.only
        await peer.send(text("hold"), text("last"), CLOSING, text("late"))
        await resource.journal.until("text hold")
        resource.release.set()
        assert [await peer.receive(), await peer.receive()] == ["hold", "last"]
        await peer.receive_closing()
        await resource.journal.until("disconnected 1005")
        assert (client.closed_cleanly, client.close_reason, client.state) == (True, "", wsframe.State.CLOSED)
        assert resource.notes == ["connected", "text hold", "text last", "disconnected 1005"]
        await peer.receive_eof()


async def test_ours_has_no_code_and_is_answered() -> None:
    resource = Recorder()
    async with serving(resource, versions=ALL) as server, old_connected(server) as peer:
        await resource.journal.until("connected")
        client = resource.only
        client.send_text("why")
        assert client.close(4000, "because")
        assert not client.send_text("late")
        assert await peer.receive() == "why"
        await peer.receive_closing()
        await peer.send(text("on its way"), CLOSING)
        await resource.journal.until("disconnected 1005")
        assert (client.close_code, client.closed_cleanly) == (1005, True)
        await peer.receive_eof()
    assert resource.notes == ["connected", "disconnected 1005"]


async def test_without_an_answer_it_is_reset() -> None:
    resource = Recorder()
    timeouts = wsframe.Timeouts(close=0.1)
    async with serving(resource, versions=ALL, timeouts=timeouts) as server, old_connected(server) as peer:
        await resource.journal.until("connected")
        client = resource.only
        client.reject()
        await peer.receive_closing()
        await resource.journal.until("disconnected 1006")
        assert (client.close_reason, client.closed_cleanly) == ("close timeout", False)


async def test_an_end_without_a_closing_handshake_is_not_clean() -> None:
    resource = Recorder()
    async with serving(resource, versions=ALL) as server, old_connected(server) as peer:
        await peer.send(text("last"), b"\x00half")
        await peer.shut()
        await resource.journal.until("disconnected 1006")
        assert resource.notes == ["connected", "text last", "disconnected 1006"]
        await peer.receive_eof()


async def test_drain_closes_every_version() -> None:
    resource = Recorder()
    async with serving(resource, versions=ALL) as server, AsyncExitStack() as stack:
        new = [await stack.enter_async_context(connected(server, version)) for version in (13, 8, 7)]
        old = await stack.enter_async_context(old_connected(server))
        await resource.journal.until("connected", 4)
        server.close()
        for peer in new:
            assert (await peer.receive_close())[0] == 1001
            await peer.send(frame(8, b"\x03\xe9"))
        await old.receive_closing()
        await old.send(CLOSING)
        await old.receive_eof()
        for stream in (*(peer.stream for peer in new), old.stream):
            await trio.aclose_forcefully(stream)
        await server.closed()
        assert sorted(resource.notes[4:]) == [*["disconnected 1001"] * 3, "disconnected 1005"]


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (b"\x00" + b"x" * 1001, 1009),
        (announce(1001), 1009),
        (b"\x01" * 1002, 1009),
        (b"\xff" + b"\x80" * 20, 1002),
    ],
    ids=["endless-text", "huge-length", "endless-other", "endless-length"],
)
async def test_hostile_bytes_end_it_with_a_closing_handshake_and_the_reason_in_the_log(
    data: bytes, code: int, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "wsframe")
    resource = Echo()
    async with (
        serving(resource, versions=ALL, limits=wsframe.Limits(max_message=1000)) as server,
        old_connected(server) as victim,
        old_connected(server) as peer,
    ):
        await peer.send(text("good"), data)
        assert await peer.receive() == "good"
        await peer.receive_closing()
        await resource.journal.until(f"disconnected {code}")
        await victim.send(text("unharmed"))
        assert await victim.receive() == "unharmed"
    assert f"closed {code} (" in caplog.text


async def test_text_that_is_not_utf8_is_replaced_in_version_0_and_refused_in_the_others() -> None:
    resource = Echo()
    async with serving(resource, versions=ALL) as server:
        async with old_connected(server) as old:
            await old.send(b"\x00\xc3(\xff")
            assert await old.receive() == "\ufffd("
        async with connected(server, 7) as peer:
            await peer.send(frame(TEXT, b"\xc3("))
            assert (await peer.receive_close())[0] == 1007


async def test_a_flood_of_discarded_frames_leaves_room_for_others() -> None:
    resource = Echo()
    async with (
        serving(resource, versions=ALL) as server,
        old_connected(server) as flood,
        old_connected(server) as peer,
    ):
        await flood.send(discarded(b"") * 100_000, text("done"))
        await peer.send(text("x"))
        assert await peer.receive() == "x"
        assert await flood.receive() == "done"
