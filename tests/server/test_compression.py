"""Compressed messages to clients: shared and dedicated, mixed in every way."""

from __future__ import annotations

import os
import zlib
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st
from trio.testing import MockClock

import wsframe
from tests.client_frames import frame
from tests.client_side import Sending, offered, read_messages
from tests.wire import BINARY, FIN, RSV1, TEXT, connected, decode, serving, until, upgrade
from wsframe.protocol import deflate as module
from wsframe.protocol.deflate import Deflate, Deflater, new_compressor
from wsframe.testing import open_kit

OFFER = "permessage-deflate; client_max_window_bits"
TEXTS = ["news " * 100, "more news " * 90, "news again " * 80]


@pytest.fixture
def compressors(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[int]]:
    """The windows of the compressors that were made."""
    made: list[int] = []

    def counting(options: Deflate, bits: int, size: int | None = None) -> zlib._Compress:
        made.append(bits)
        return new_compressor(options, bits, size)

    monkeypatch.setattr(module, "new_compressor", counting)
    yield made
    monkeypatch.undo()


async def test_a_broadcast_is_compressed_once_for_each_window_and_shared(compressors: list[int]) -> None:
    options = Deflate.shared()
    wide = [Sending(**offered(options)) for _ in range(20)]
    narrow = [Sending(**offered(options, "permessage-deflate; server_max_window_bits=10")) for _ in range(20)]
    plain = [Sending() for _ in range(20)]
    everybody = [sending.client for sending in (*wide, *narrow, *plain)]
    assert wsframe.broadcast_text(everybody, TEXTS[0]) == (60, 0)
    assert compressors == [15, 10]
    for group, bits in ((wide, 15), (narrow, 10), (plain, None)):
        assert len({id(sending.outbox.items[0]) for sending in group}) == 1
        assert group[0].outbox.items[0][0] == FIN | TEXT | (RSV1 if bits else 0)
        for sending in group:
            sending.take()
            assert sending.messages(bits=bits or 15) == [TEXTS[0].encode()]


async def test_context_takeover_refers_to_earlier_messages(compressors: list[int]) -> None:
    sending = Sending(**offered(Deflate.dedicated(window_bits=15)))
    noise = os.urandom(400).hex()
    for _ in range(50):
        sending.client.send_text(noise)
        sending.outbox.flush()
    sizes = [len(one.payload) for one in decode(bytes(sending.line.sent))]
    assert sizes[0] > 400
    assert max(sizes[1:]) < 40
    assert sending.messages(takeover=True) == [noise.encode()] * 50
    assert compressors == [15]


async def test_a_compressor_is_made_late(compressors: list[int]) -> None:
    sending = Sending(**offered(Deflate.dedicated(threshold=100)))
    sending.client.send_text("x" * 99)
    sending.client.send_text("x" * 500, compress=False)
    assert compressors == []
    sending.client.send_text("x" * 100)
    assert compressors == [12]


@pytest.mark.parametrize(
    ("size", "compress", "compressed"),
    [(255, None, False), (256, None, True), (20, True, True), (5000, False, False), (5000, True, True)],
)
@pytest.mark.parametrize("way", ["send", "broadcast"])
async def test_the_threshold_and_its_override(size: int, compress: bool | None, compressed: bool, way: str) -> None:
    sending = Sending(**offered(Deflate.shared(threshold=256)))
    if way == "send":
        sending.client.send_binary(b"x" * size, compress=compress)
    else:
        wsframe.broadcast_binary([sending.client], b"x" * size, compress=compress)
    assert sending.outbox.items[0][0] == FIN | BINARY | (RSV1 if compressed else 0)
    sending.take()
    assert sending.messages() == [b"x" * size]


async def test_frames_of_a_size_are_those_of_the_compressed_message() -> None:
    sending = Sending(**offered(Deflate.dedicated(window_bits=15)))
    noise = os.urandom(200).hex()
    sending.client.send_text(noise, frame_size=50)
    frames = list(sending.outbox.items)
    assert [one[0] for one in frames] == [RSV1 | TEXT, *[0] * (len(frames) - 2), FIN]
    assert all(one[1] <= 50 for one in frames)
    wsframe.broadcast_text([sending.client], noise, frame_size=70)
    sending.client.send_text(noise)
    sending.take()
    assert sending.messages(takeover=True) == [noise.encode()] * 3


async def test_what_is_refused_leaves_no_mark_on_what_comes_after() -> None:
    """The compressor must not have seen a message that was never sent."""
    sending = Sending(**offered(Deflate.dedicated(window_bits=15)))
    for wrong in ({"frame_size": 0}, {"frame_size": -1}, {"frame_size": 5, "key": "k"}):
        with pytest.raises(ValueError, match="frame"):
            sending.client.send_text(TEXTS[0], **wrong)
        sending.client.send_text(TEXTS[0])
    sending.take()
    assert sending.messages(takeover=True) == [TEXTS[0].encode()] * 3


settings_of_a_step = st.tuples(
    st.sampled_from(["send", "send", "broadcast", "elsewhere", "ping", "flush"]),
    st.integers(0, 2),
    st.none() | st.booleans(),
    st.none() | st.integers(1, 300),
    st.booleans(),
)
offers = st.sampled_from([
    OFFER, "permessage-deflate; server_max_window_bits=9", "permessage-deflate; server_no_context_takeover",
])  # fmt: skip


@given(st.lists(settings_of_a_step, max_size=25), st.sampled_from([Deflate.shared(), Deflate.dedicated()]), offers)
async def test_no_mixture_is_read_wrongly(
    steps: list[tuple[str, int, bool | None, int | None, bool]], options: Deflate, offer: str
) -> None:
    """Keyed messages come to an idle outbox here, so none is replaced; the other clients have windows of their own."""
    sending = Sending(**offered(options, offer))
    others = [Sending(**offered(options)), Sending(**offered(Deflate.shared(window_bits=9))), Sending()]
    deflater = sending.client._encoder
    assert isinstance(deflater, Deflater)
    terms = deflater.terms
    expected = []
    for what, which, compress, frame_size, keyed in steps:
        message, key = TEXTS[which][: 40 if compress is None and keyed else None], "k" if keyed else None
        if what == "flush":
            sending.outbox.flush()
        elif what == "ping":
            sending.client.ping()
        elif what == "elsewhere":
            wsframe.broadcast_text([one.client for one in others], message, compress=compress)
        else:
            if keyed:
                sending.outbox.flush()
                frame_size = None
            if what == "send":
                sending.client.send_text(message, compress=compress, key=key, frame_size=frame_size)
            else:
                clients = [others[0].client, sending.client, *(one.client for one in others[1:])]
                wsframe.broadcast_text(clients, message, compress=compress, key=key, frame_size=frame_size)
            expected.append(message.encode())
    sending.take()
    assert sending.messages(bits=terms.server_bits, takeover=terms.server_takeover) == expected


@given(st.lists(st.tuples(st.integers(0, 2), st.sampled_from([None, "a", "b"]), st.booleans()), max_size=25))
async def test_a_replaced_message_is_not_referred_to(steps: list[tuple[int, str | None, bool]]) -> None:
    sending = Sending(**offered(Deflate.dedicated(window_bits=15)), space=0)
    expected: list[tuple[str | None, bytes]] = []
    for which, key, to_all in steps:
        message = TEXTS[which]
        if to_all:
            wsframe.broadcast_text([sending.client], message, key=key)
        else:
            sending.client.send_text(message, key=key)
        at = next((at for at, (other, _) in enumerate(expected) if key and other == key), len(expected))
        expected[at : at + 1] = [(key, message.encode())]
    sending.take()
    assert sending.messages(takeover=True) == [message for _, message in expected]


class Compressing(wsframe.Resource):
    """Sends everything back, and to everybody."""

    async def received_text(self, client: wsframe.Client, message: str) -> None:
        client.send_text(message)
        self.broadcast_text(message)


class Own(Compressing):
    deflate = Deflate.dedicated(window_bits=10)


class Never(Compressing):
    deflate = None


class Dropping(Own):
    overflow = "drop_oldest"


@pytest.mark.parametrize(
    ("resource", "offer", "server", "answer"),
    [
        (Compressing, OFFER, Deflate.shared(), "; server_no_context_takeover; client_no_context_takeover"),
        (Compressing, None, Deflate.shared(), None),
        (Compressing, "permessage-deflate; what", Deflate.shared(), None),
        (Compressing, OFFER, None, None),
        (Own, OFFER, None, "; client_max_window_bits=10"),
        (Own, "permessage-deflate", Deflate.shared(), "; client_no_context_takeover"),
        (Never, OFFER, Deflate.shared(), None),
        (Dropping, "permessage-deflate", None, "; server_no_context_takeover; client_no_context_takeover"),
    ],
)
async def test_what_a_server_agrees_on(
    resource: type[wsframe.Resource], offer: str | None, server: Deflate | None, answer: str | None
) -> None:
    serves = resource()
    async with (
        serving(serves, deflate=server) as running,
        connected(running, fields={} if offer is None else {"Sec-WebSocket-Extensions": offer}) as peer,
    ):
        await until(lambda: serves.clients)
        [client] = serves.clients
        agreed = None if answer is None else f"permessage-deflate{answer}"
        lines = [
            line
            for line in peer.handshake.decode().split("\r\n")
            if line.lower().startswith("sec-websocket-extensions")
        ]
        assert lines == ([] if agreed is None else [f"Sec-WebSocket-Extensions: {agreed}"])
        assert client.extensions == (() if agreed is None else (agreed,))
        received = []
        for message in TEXTS:
            await peer.send(frame(FIN | TEXT, message.encode()))
            for _ in range(2):
                one = await peer.receive()
                assert one is not None
                assert bool(one.reserved & RSV1) is (answer is not None)
                received.append(one)
        takeover = answer is not None and "server_no_context_takeover" not in answer
        messages = read_messages(received, bits=10 if resource in (Own, Dropping) else 15, takeover=takeover)
        assert messages == [message.encode() for message in TEXTS for _ in range(2)]


@pytest.mark.parametrize(("agent", "code"), [("Tornado/6.6.1", None), ("other/1", 1007)])
async def test_a_client_of_tornado_can_keep_its_context_though_it_was_told_not_to(
    autojump_clock: MockClock, agent: str, code: int | None
) -> None:
    """It drops parameters without a value; any other client that does so breaks RFC 7692, section 7.1.1.2."""

    class Echo(wsframe.Resource):
        async def received_text(self, client: wsframe.Client, message: str) -> None:
            client.send_text(message, compress=False)

    compressor = zlib.compressobj(wbits=-15)
    frames = [
        frame(FIN | RSV1 | TEXT, (compressor.compress(text) + compressor.flush(zlib.Z_SYNC_FLUSH))[:-4])
        for text in (b"news " * 20, b"news " * 20, b"more news " * 10)
    ]
    async with open_kit(Echo(), deflate=Deflate.shared()) as kit:
        line = kit.dial()
        line.send_bytes(upgrade(changes={"user-agent": agent, "sec-websocket-extensions": OFFER}) + b"".join(frames))
        received = b""
        while received.count(b"more news") < 10 and b"invalid compressed data" not in received:
            received += await line.receive_bytes()
        assert b"client_no_context_takeover" in received
        assert (b"\x03\xef" in received) == (code == 1007)
