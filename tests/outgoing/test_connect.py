"""``connect`` on real sockets: our own server, plain, over TLS and on a unix socket."""

from __future__ import annotations

import socket
import ssl
from os import urandom
from pathlib import Path
from typing import Any

import pytest
import trio
import trio.testing
import trustme

import wsframe
from tests.certificates import trusting
from tests.outgoing.places import head_of, listening, serving, upgrading
from tests.wire import BOUND
from wsframe import (
    ConnectionClosed,
    Deflate,
    HandshakeRejected,
    InvalidURL,
    Limits,
    Opening,
    State,
    WebSocket,
    connect,
)


async def test_messages_of_all_sizes_go_both_ways() -> None:
    async with serving() as server, connect(f"{server.addresses[0]}/echo", limits=Limits(max_message=2**23)) as ws:
        for message in ("", "hi", "ä" * 1000, b"x" * 70_000, b"y" * 2**22):
            await ws.send(message)
            assert await ws.receive() == message
        assert 0 < await ws.ping() < 60
    assert (ws.close_code, ws.closed_cleanly, ws.state) == (1000, True, State.CLOSED)


async def test_what_is_sent_fast_is_sent_whole_through_tiny_buffers() -> None:
    """The kernel takes little at a time; receiving and sending go on side by side."""
    count = 300
    async with (
        serving() as server,
        connect(f"{server.addresses[0]}/echo", limits=Limits(max_outbox=5000, unsent_low_water=1)) as ws,
        trio.open_nursery() as nursery,
    ):

        async def send() -> None:
            for number in range(count):
                await ws.send(f"{number:5000}")

        nursery.start_soon(send)
        assert [int(await ws.receive()) for _ in range(count)] == list(range(count))


async def send_impatiently(ws: WebSocket, count: int, sent: list[str]) -> None:
    """Send large messages, each for a moment, and note those that were sent; the last one is "last"."""
    for number in range(count):
        with trio.move_on_after(0.0002 * (number % 5)):
            message = f"{number:20000}"
            await ws.send(message)
            sent.append(message)
    await ws.send("last")


async def test_cancelled_sends_and_receives_on_a_real_socket_lose_nothing() -> None:
    async with serving() as server, connect(f"{server.addresses[0]}/echo", limits=Limits(max_outbox=40_000)) as ws:
        sent: list[str] = []
        received: list[str | bytes] = []
        async with trio.open_nursery() as nursery:
            nursery.start_soon(send_impatiently, ws, 400, sent)
            while received[-1:] != ["last"]:
                with trio.move_on_after(0.001):
                    received.append(await ws.receive())
        assert received == [*sent, "last"]


@pytest.mark.parametrize("ours", [Deflate.shared(threshold=0), Deflate.dedicated(threshold=0)])
@pytest.mark.parametrize("theirs", [Deflate.shared(threshold=0), Deflate.dedicated(threshold=0), None])
async def test_compression_is_agreed_on(ours: Deflate, theirs: Deflate | None) -> None:
    async with serving(deflate=theirs) as server, connect(f"{server.addresses[0]}/echo", deflate=ours) as ws:
        assert bool(ws.extensions) is (theirs is not None)
        for number in range(20):
            message = f"the same again and again {number}" * 50
            await ws.send_text(message, compress=number % 5 != 0 or None, frame_size=100 if number % 3 else None)
            assert await ws.receive() == message


async def test_what_does_not_shrink_is_sent_as_it_is() -> None:
    async with (
        serving(deflate=Deflate.shared()) as server,
        connect(f"{server.addresses[0]}/echo", deflate=Deflate.shared()) as ws,
    ):
        noise = urandom(1000)
        await ws.send_binary(noise, compress=True)
        assert await ws.receive() == noise


async def test_what_inflates_too_much_is_refused() -> None:
    async with (
        serving(deflate=Deflate.shared()) as server,
        connect(f"{server.addresses[0]}/echo", deflate=Deflate.shared(), limits=Limits(max_message=100_000)) as ws,
    ):
        await ws.send("x" * 1_000_000)
        with pytest.raises(ConnectionClosed, match="message too big") as caught:
            await ws.receive()
        assert caught.value.sent == (1009, "message too big")


async def test_subprotocol_and_headers() -> None:
    async with (
        serving() as server,
        connect(
            f"{server.addresses[0]}/echo".replace("//", "//us%20er:secret@"),
            subprotocols=["nothing", "superchat"],
            headers={"Origin": "https://example.com", "X-Token": "1"},
        ) as ws,
    ):
        assert ws.subprotocol == "superchat"
        for name, value in [
            ("origin", "https://example.com"),
            ("x-token", "1"),
            ("authorization", "Basic dXMgZXI6c2VjcmV0"),
        ]:
            await ws.send(f"header {name}")
            assert await ws.receive() == value
        assert ws.request_headers["x-token"] == "1"
        assert ws.response_headers["upgrade"] == "websocket"
        assert "secret" not in ws.url


async def test_an_authorization_of_one_s_own_wins() -> None:
    async with (
        serving() as server,
        connect(
            f"{server.addresses[0]}/echo".replace("//", "//user:secret@"), headers=[("authorization", "Bearer x")]
        ) as ws,
    ):
        await ws.send("header authorization")
        assert await ws.receive() == "Bearer x"


async def test_a_unix_socket(tmp_path: Path) -> None:
    path = tmp_path / "socket"
    async with serving(unix=str(path)), connect("ws://chat.example/echo", unix=str(path)) as ws:
        await ws.send("header host")
        assert await ws.receive() == "chat.example"


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture(scope="module")
def server_context(authority: trustme.CA) -> ssl.SSLContext:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    return context


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
async def test_tls(version: ssl.TLSVersion, authority: trustme.CA, server_context: ssl.SSLContext) -> None:
    context = trusting(authority)
    context.maximum_version = version
    async with (
        serving(ssl_context=server_context) as server,
        connect(f"{server.addresses[0]}/echo", ssl_context=context, limits=Limits(max_message=2**23)) as ws,
    ):
        assert ws.url.startswith("wss://")
        for message in ("hi", b"x" * 70_000, b"y" * 2**22):
            await ws.send(message)
            assert await ws.receive() == message
    assert ws.closed_cleanly


async def test_cancelled_sends_over_tls_leave_whole_frames(
    authority: trustme.CA, server_context: ssl.SSLContext
) -> None:
    async with (
        serving(ssl_context=server_context) as server,
        connect(f"{server.addresses[0]}/echo", ssl_context=trusting(authority), limits=Limits(max_outbox=40_000)) as ws,
    ):
        sent: list[str] = []
        async with trio.open_nursery() as nursery:
            nursery.start_soon(send_impatiently, ws, 200, sent)
            received: list[str | bytes] = []
            while received[-1:] != ["last"]:
                received.append(await ws.receive())
        assert received == [*sent, "last"]


async def test_a_stalled_tls_server_gets_all_once_it_reads(
    authority: trustme.CA, server_context: ssl.SSLContext
) -> None:
    """Ciphertext that the kernel did not take is sent on by a task of the connection; and so is our close frame."""
    count, size = 50, 100_000
    stalled, read = trio.Event(), bytearray()

    async def serve(stream: trio.SocketStream) -> None:
        secure = trio.SSLStream(stream, server_context, server_side=True)
        await secure.send_all(upgrading()(await head_of(secure)))
        await stalled.wait()
        while len(read) < count * (size + 14):
            read.extend(await secure.receive_some())
        await secure.send_all(b"\x88\x00")

    async with (
        listening(serve) as port,
        connect(f"wss://127.0.0.1:{port}/", ssl_context=trusting(authority), limits=Limits(max_outbox=2**23)) as ws,
    ):
        for _ in range(count):
            await ws.send(bytes(size))
        stalled.set()
        with trio.fail_after(BOUND):
            assert [message async for message in ws] == []
    assert len(read) >= count * (size + 14)


async def test_a_tls_record_in_two_parts_is_waited_for(authority: trustme.CA, server_context: ssl.SSLContext) -> None:
    async def serve(stream: trio.SocketStream) -> None:
        ours, theirs = trio.testing.memory_stream_pair()
        secure = trio.SSLStream(trio.StapledStream(ours.send_stream, stream), server_context, server_side=True)

        async def drip() -> None:
            while data := await theirs.receive_some():
                for at in range(0, len(data), 7):
                    await stream.send_all(data[at : at + 7])
                    await trio.sleep(0.001)

        async with trio.open_nursery() as nursery:
            nursery.start_soon(drip)
            await secure.send_all(upgrading()(await head_of(secure)))
            await secure.send_all(b"\x81\x02hi\x88\x00")

    async with (
        listening(serve) as port,
        connect(f"wss://127.0.0.1:{port}/", ssl_context=trusting(authority)) as ws,
    ):
        with trio.fail_after(BOUND):
            assert [message async for message in ws] == ["hi"]
        ws.abort()


async def test_a_certificate_that_is_not_trusted_is_refused(server_context: ssl.SSLContext) -> None:
    async with serving(ssl_context=server_context) as server:
        with pytest.raises(ssl.SSLCertVerificationError):
            await connect(f"{server.addresses[0]}/echo").__aenter__()


async def test_a_certificate_for_another_name_is_refused(authority: trustme.CA) -> None:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("other.example").configure_cert(context)
    async with serving(ssl_context=context) as server:
        with pytest.raises(ssl.SSLCertVerificationError):
            await connect(f"{server.addresses[0]}/echo", ssl_context=trusting(authority)).__aenter__()


async def test_a_server_without_tls_is_an_os_error() -> None:
    async with serving() as server:
        with pytest.raises(OSError, match="does not speak TLS"):
            await connect(f"{server.addresses[0]}/echo".replace("ws:", "wss:")).__aenter__()


async def test_a_refusal_tells_status_headers_and_body() -> None:
    async with serving() as server:
        with pytest.raises(HandshakeRejected) as caught:
            await connect(f"{server.addresses[0]}/nothing").__aenter__()
    assert caught.value.status == 404
    assert b"/nothing" in caught.value.body
    assert caught.value.headers["content-type"].startswith("text/plain")


async def test_nobody_there_is_an_os_error() -> None:
    with pytest.raises(OSError):  # noqa: PT011
        await connect("ws://127.0.0.1:1/").__aenter__()


# How the body ends


async def test_what_the_body_raises_comes_out_as_it_is() -> None:
    async with serving() as server:
        with pytest.raises(KeyError, match="mine"):
            async with connect(f"{server.addresses[0]}/echo") as ws:
                raise KeyError("mine")
    assert ws.close_code == 1011


async def test_a_body_that_is_cancelled_ends_at_once() -> None:
    async with serving() as server:
        with trio.CancelScope() as scope:
            async with connect(f"{server.addresses[0]}/echo") as ws:
                scope.cancel()
                await ws.receive()
        assert scope.cancelled_caught
        assert ws.state is State.CLOSED


async def test_the_server_s_close_and_its_reason_are_told() -> None:
    async with serving() as server, connect(f"{server.addresses[0]}/echo") as ws:
        await ws.send("bye")
        with pytest.raises(ConnectionClosed) as caught:
            await ws.receive()
        assert caught.value.received == (4000, "as you wish")
    assert ws.state is State.CLOSED


async def test_a_reset_is_told() -> None:
    async with serving() as server, connect(f"{server.addresses[0]}/echo") as ws:
        await ws.send("abort")
        with pytest.raises(ConnectionClosed, match="connection lost"):
            async for _ in ws:
                pass


async def test_a_server_that_stops_says_so() -> None:
    async with serving() as server, connect(f"{server.addresses[0]}/echo") as ws:
        await ws.send("x")
        assert await ws.receive() == "x"
        server.close()
        assert [message async for message in ws] == []
    assert ws.close_code == 1001


async def test_one_description_connects_more_than_once() -> None:
    async with serving() as server:
        again = connect(f"{server.addresses[0]}/echo")
        for _ in range(2):
            async with again as ws:
                await ws.send("x")
                assert await ws.receive() == "x"


async def test_one_description_does_not_connect_twice_at_once() -> None:
    async with serving() as server:
        again = connect(f"{server.addresses[0]}/echo")
        async with again:
            with pytest.raises(RuntimeError, match="entered already"):
                await again.__aenter__()


# Arguments that are refused before anything is sent


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"url": "http://example.com/"}, InvalidURL),
        ({"proxy": "ftp://example.com/"}, InvalidURL),
        ({"headers": {"Upgrade": "x"}}, ValueError),
        ({"headers": {"a b": "x"}}, ValueError),
        ({"subprotocols": ["a", "a"]}, ValueError),
        ({"subprotocols": "chat"}, TypeError),
        ({"limits": Limits(max_byte_rate=1)}, ValueError),
        ({"ssl_context": ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)}, ValueError),
    ],
)
def test_wrong_options_raise_where_they_are_given(options: dict[str, object], error: type[Exception]) -> None:
    with pytest.raises(error):
        connect(**{"url": "ws://example.com/", **options})  # type: ignore[arg-type]


def test_the_options_of_both_ways_to_connect_are_the_same() -> None:
    names = connect.__init__.__annotations__.keys() - {"url", "return"}
    assert names == wsframe.ConnectOptions.__annotations__.keys()


async def test_the_opening_is_bounded_in_every_phase() -> None:
    """A limit of no time at all is too little for any."""
    async with serving() as server:
        for phase in ("connect", "handshake"):
            with pytest.raises(wsframe.OpeningTimeout):
                await connect(f"{server.addresses[0]}/echo", opening=Opening(**{phase: 0})).__aenter__()


class TwoAddresses(trio.abc.HostnameResolver):
    """Resolves every name to two addresses of this machine."""

    async def getaddrinfo(self, *_args: object, **_kwargs: object) -> list[Any]:
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (f"127.0.0.{last}", 1)) for last in (1, 2)]

    async def getnameinfo(self, *_args: object) -> tuple[str, str]:
        raise NotImplementedError


async def test_a_server_that_none_of_its_addresses_leads_to_says_why() -> None:
    trio.socket.set_custom_hostname_resolver(TwoAddresses())
    with pytest.raises(OSError, match=r"^all attempts to connect to two\.example:1 failed: Connection refused$"):
        async with connect("ws://two.example:1/", proxy=None):
            pass  # pragma: no cover
