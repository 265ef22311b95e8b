"""Messages to a client of version 0: no sockets."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

import wsframe
from tests.client_side import Line, Sending, offered
from tests.hixie76.hixie_peer import CLOSING, reference
from wsframe.connection.flusher import Flusher
from wsframe.connection.interfaces import ClientLink
from wsframe.connection.memory_budget import FRAME_COST, Budget
from wsframe.hixie76.outbox import HixieEncoder, HixieOutbox
from wsframe.http.request import Request
from wsframe.limits import Overflow
from wsframe.protocol.close import close_frame
from wsframe.protocol.deflate import Deflate
from wsframe.protocol.events import Ended
from wsframe.protocol.frames import PING, control_frame

KEYS = [(b"Sec-WebSocket-Key1", b"1 2"), (b"Sec-WebSocket-Key2", b"1 2"), (b"Origin", b"http://o")]


class NoLink:
    """A link that knows that it is open."""

    @property
    def state(self) -> wsframe.State:
        return wsframe.State.OPEN


def room(byte_count: int) -> int:
    """Return the limit for two frames of so many bytes together."""
    return byte_count + 2 * FRAME_COST


class Old(Sending):
    """A client of version 0, its outbox and its line."""

    def __init__(self, *, space: int | None = None, limit: int = 1 << 20, overflow: Overflow = "disconnect") -> None:
        self.line = Line(space)
        self.flusher = Flusher(Budget(1 << 30))
        self.outbox = HixieOutbox(self.line.send, self.line, limit, overflow, self.flusher)
        request, nothing = Request("/old", KEYS, host="192.0.2.1", port=4711), cast("Any", None)
        link = cast("ClientLink", NoLink())
        self.client = wsframe.Client(link, self.outbox, request, nothing, None, None, HixieEncoder())

    def sent(self) -> bytes:
        self.take()
        return bytes(self.line.sent)


async def test_a_text_is_one_frame() -> None:
    old = Old()
    assert old.client.send_text("grüß")
    assert old.client.send("next")
    assert old.sent() == b"\x00gr\xc3\xbc\xc3\x9f\xff\x00next\xff"
    assert (old.client.version, old.client.extensions) == (0, ())


async def test_frame_size_and_compress_change_nothing() -> None:
    old = Old()
    assert old.client.send_text("text", frame_size=1, compress=True)
    assert old.sent() == b"\x00text\xff"


async def test_but_a_wrong_frame_size_is_one_here_too() -> None:
    with pytest.raises(ValueError, match="frame_size"):
        Old().client.send_text("text", frame_size=0)
    with pytest.raises(ValueError, match="frame_size"):
        Old().client.send_text("text", frame_size=1, key="k")


@pytest.mark.parametrize(
    "send",
    [
        lambda client: client.send_binary(b"x"),
        lambda client: client.send(bytearray(b"x")),
        lambda client: client.send_binary(b"x", key="k"),
        lambda client: client.send_binary(b"x", frame_size=1),
    ],
)
async def test_a_binary_message_is_refused_and_nothing_sent(send: Callable[[wsframe.Client], bool]) -> None:
    old = Old()
    with pytest.raises(wsframe.BinaryRefused, match="version 0"):
        send(old.client)
    old.client._outbox.put_close(b"")
    with pytest.raises(wsframe.BinaryRefused):  # it is the program that is wrong, whatever the peer does
        send(old.client)
    assert old.sent() == CLOSING


async def test_a_binary_broadcast_is_refused_before_anybody_is_sent_anything() -> None:
    new, old = Sending(), Old()
    with pytest.raises(wsframe.BinaryRefused, match="version 0"):
        wsframe.broadcast_binary(iter([new.client, old.client]), b"x")
    assert (new.outbox.items, old.outbox.items) == ([], [])
    assert wsframe.broadcast_binary([new.client, old.client], b"x", exclude=old.client) == (1, 0)


async def test_a_text_broadcast_is_encoded_once_for_each_version() -> None:
    shared = Deflate.shared(threshold=0)
    new, more = [Sending(), Sending()], [Sending(**offered(shared)), Sending(**offered(shared))]
    old = [Old(), Old()]
    text = "text" * 100
    everybody = [one.client for pair in zip(new, more, old, strict=True) for one in pair]
    assert wsframe.broadcast_text(everybody, text) == (6, 0)
    for first, second in (new, more, old):
        assert first.outbox.items[0] is second.outbox.items[0]
    assert old[0].sent() == b"\x00" + text.encode() + b"\xff"
    for one in (*new, *more):
        one.take()
    assert [len(one.messages()) for one in (*new, *more)] == [1, 1, 1, 1]


async def test_a_broadcast_in_frames_is_one_frame_for_version_0() -> None:
    new, old = Sending(), Old()
    assert wsframe.broadcast_text([old.client, new.client], "text", frame_size=2) == (2, 0)
    assert old.sent() == b"\x00text\xff"
    assert len(new.outbox.items) == 2


async def test_there_is_nothing_to_ping_with() -> None:
    old = Old()
    assert old.client.ping(b"x") is False
    assert old.outbox.put_urgent(control_frame(PING, b"")) is False
    assert old.sent() == b""


async def test_the_closing_handshake_has_no_code_and_is_the_last() -> None:
    old = Old()
    old.client.send_text("last")
    assert old.outbox.put_close(close_frame(1001, "going away"))
    assert not old.client.send_text("late")
    assert not old.outbox.put_close(close_frame(1000))
    assert old.sent() == b"\x00last\xff" + CLOSING


async def test_drop_oldest_drops_whole_messages_and_never_one_that_has_begun() -> None:
    old = Old(space=2, limit=16 + 3 * FRAME_COST, overflow="drop_oldest")
    for text in ("aaaa", "bbbb", "cccc", "dd"):
        assert old.client.send_text(text)
    assert old.outbox.dropped == 1
    assert old.sent() == b"\x00aaaa\xff\x00cccc\xff\x00dd\xff"


async def test_drop_newest_drops_the_message_itself() -> None:
    old = Old(space=2, limit=room(12), overflow="drop_newest")
    assert [old.client.send_text(text) for text in ("aaaa", "bbbb", "cccc")] == [True, True, False]
    assert old.sent() == b"\x00aaaa\xff\x00bbbb\xff"


async def test_a_client_that_takes_nothing_overflows() -> None:
    old = Old(space=0, limit=room(12))
    assert [old.client.send_text("aaaa") for _ in range(3)] == [True, True, False]
    assert "overflowed" in old.line.told


@pytest.mark.parametrize("text", ["", "new"])
async def test_a_message_with_a_key_takes_the_place_of_the_old_one(text: str) -> None:
    old = Old(space=0)
    old.client.send_text("first")
    old.flusher.flush()
    old.client.send_text("old", key="a")
    old.client.send_text("other", key="b")
    assert old.client.send_text(text, key="a")
    assert wsframe.broadcast_text([old.client], "newest", key="b") == (1, 0)
    assert old.sent() == b"\x00first\xff\x00" + text.encode() + b"\xff\x00newest\xff"


async def test_a_message_with_a_key_that_was_dropped_is_queued_anew() -> None:
    old = Old(space=0, limit=room(12), overflow="drop_oldest")
    old.client.send_text("aaaa", key="a")
    old.flusher.flush()
    old.client.send_text("bbbb")
    old.client.send_text("cccc")
    old.client.send_text("AAAA", key="a")
    assert old.sent() == b"\x00cccc\xff\x00AAAA\xff"


async def test_what_is_dropped_for_a_rejection_is_all_but_the_closing_handshake_and_what_has_begun() -> None:
    old = Old(space=2)
    old.client.send_text("begun")
    old.client.send_text("waiting")
    old.flusher.flush()
    old.outbox.put_close(b"")
    old.outbox.drop_unsent()
    assert old.outbox.byte_count == 5 + len(CLOSING)
    assert old.sent() == b"\x00begun\xff" + CLOSING
    assert old.held == 0


STEPS = st.lists(
    st.tuples(st.sampled_from(["send", "send", "key", "broadcast", "take", "take", "drop", "ping"]), st.integers(0, 9)),
    max_size=30,
)


@given(STEPS, st.sampled_from(["drop_oldest", "drop_newest"]), st.booleans())
async def test_whatever_is_dropped_or_replaced_only_whole_frames_leave_in_order(
    steps: list[tuple[str, int]], overflow: Overflow, closed: bool
) -> None:
    old = Old(space=0, limit=30, overflow=overflow)
    sent: list[str] = []
    for number, (what, size) in enumerate(steps):
        text = f"{number:02}" + "x" * size
        if what in ("send", "key"):
            old.client.send_text(text, key=size % 2 if what == "key" else None)
        elif what == "broadcast":
            wsframe.broadcast_text([old.client], text)
        elif what == "take":
            old.take(size * 3)
        elif what == "drop":
            old.outbox.drop_unsent()
        else:
            assert old.client.ping() is False
        sent.append(text)
    if closed:
        old.outbox.put_close(b"")
    stream = old.sent()
    events = reference(stream, 1000)
    texts = [event for event in events if isinstance(event, str)]
    assert stream.endswith(CLOSING) is closed is any(isinstance(event, Ended) for event in events)
    assert set(texts) <= set(sent)
    assert len(texts) == len(set(texts))
    assert b"".join(b"\x00" + text.encode() + b"\xff" for text in texts) + CLOSING * closed == stream
    assert (old.outbox.byte_count, old.held) == (0, 0)
    if not any(what == "key" for what, _ in steps):
        assert texts == sorted(texts)
