"""A client that reads too slowly: the limit of an outbox, and the policies beyond it."""

import pytest

from tests.kernel import Rig
from tests.wire import CONTINUATION, PING, PONG, TEXT, Frame
from wsframe.connection.memory_budget import FRAME_COST
from wsframe.limits import Overflow
from wsframe.protocol.frames import control_frame, data_frame, data_frames

POLICIES: list[Overflow] = ["disconnect", "drop_oldest", "drop_newest"]


def text(message: str) -> bytes:
    return bytes(data_frame(TEXT, message.encode()))


def room(size: int, frames: int) -> int:
    """Return the limit that so many frames with so many bytes in all just reach."""
    return size + frames * FRAME_COST


def full(rig: Rig, *messages: str) -> Rig:
    """Put messages into an outbox whose kernel takes none of them."""
    for message in messages:
        assert rig.outbox.put(text(message))
    rig.block()
    rig.kernel.script = [0] * 100
    return rig


def drain(rig: Rig) -> list[bytes]:
    rig.kernel.script = []
    rig.outbox.flush()
    return rig.kernel.payloads


@pytest.mark.parametrize("overflow", POLICIES)
async def test_message_that_reaches_the_limit_exactly_is_queued(overflow: Overflow) -> None:
    rig = full(Rig(limit=room(10, 2), overflow=overflow), "abc")
    assert rig.outbox.put(text("def"))
    assert rig.link.told == ["blocked"]
    assert drain(rig) == [b"abc", b"def"]


@pytest.mark.parametrize("overflow", POLICIES)
async def test_empty_outbox_takes_any_one_message(overflow: Overflow) -> None:
    """Else a message above the limit would disconnect everybody."""
    single, split = Rig(limit=10, overflow=overflow), Rig(limit=10, overflow=overflow)
    assert single.outbox.put(text("x" * 1000))
    assert split.outbox.put_run(data_frames(TEXT, bytes(1000), 100))
    assert single.link.told == split.link.told == []
    assert (single.outbox.dropped, split.outbox.dropped) == (0, 0)


async def test_disconnect_ends_a_client_one_byte_beyond_the_limit() -> None:
    rig = full(Rig(limit=room(10, 2)), "abc")
    assert not rig.outbox.put(text("defg"))
    assert rig.link.told[-1] == "overflowed"
    assert rig.outbox.dropped == 1
    assert (rig.outbox.items, rig.outbox.shut) == ([], True)


async def test_disconnect_counts_all_frames_of_a_fragmented_message() -> None:
    rig = full(Rig(limit=room(12, 3)), "abc")
    assert not rig.outbox.put_run(data_frames(TEXT, b"1234", 2))
    assert rig.link.told[-1] == "overflowed"


async def test_drop_newest_refuses_the_message_and_keeps_the_others() -> None:
    rig = full(Rig(limit=room(10, 2), overflow="drop_newest"), "abc")
    assert not rig.outbox.put(text("defg"))
    assert not rig.outbox.put_run(data_frames(TEXT, b"12345678", 4))
    assert rig.outbox.put(text("xyz"))
    assert rig.outbox.dropped == 2
    assert drain(rig) == [b"abc", b"xyz"]


async def test_drop_oldest_makes_room_for_the_newest() -> None:
    rig = full(Rig(limit=room(15, 3), overflow="drop_oldest"), "abc", "def", "ghi")
    assert rig.outbox.put(text("jklmn"))
    assert rig.outbox.dropped == 2
    assert rig.outbox.byte_count == 5 + 7
    assert drain(rig) == [b"ghi", b"jklmn"]


async def test_drop_oldest_never_drops_a_message_that_has_begun() -> None:
    rig = Rig(2, limit=room(16, 3), overflow="drop_oldest")
    for message in ("abc", "def", "ghi"):
        rig.outbox.put(text(message))
    rig.flusher.flush()
    rig.kernel.script = [0] * 10
    assert rig.outbox.put(text("123456"))
    assert drain(rig) == [b"abc", b"ghi", b"123456"]


async def test_drop_oldest_drops_a_fragmented_message_whole() -> None:
    rig = Rig(limit=room(20, 4), overflow="drop_oldest")
    rig.outbox.put_run(data_frames(TEXT, b"abcdef", 2))
    rig.outbox.put(text("kept"))
    rig.block()
    rig.kernel.script = [0] * 10
    assert rig.outbox.put(text("new"))
    assert rig.outbox.dropped == 1
    assert rig.outbox.byte_count == 6 + 5
    rig.kernel.script = []
    rig.outbox.flush()
    assert rig.kernel.frames == [Frame(TEXT, b"kept"), Frame(TEXT, b"new")]


@pytest.mark.parametrize("taken", [1, 4, 6])
async def test_drop_oldest_finishes_a_fragmented_message_that_has_begun(taken: int) -> None:
    """Also where exactly its first fragment is gone and the next frame has not begun."""
    rig = Rig(taken, 0, limit=room(20, 4), overflow="drop_oldest")
    rig.outbox.put_run(data_frames(TEXT, b"abcdef", 2))
    rig.outbox.put(text("old"))
    rig.flusher.flush()
    rig.kernel.script = [0] * 10
    assert rig.outbox.put(text("1234567890"))
    rig.kernel.script = []
    rig.outbox.flush()
    assert rig.kernel.frames == [
        Frame(TEXT, b"ab", fin=False),
        Frame(CONTINUATION, b"cd", fin=False),
        Frame(CONTINUATION, b"ef"),
        Frame(TEXT, b"1234567890"),
    ]


async def test_drop_oldest_keeps_pings_and_pongs() -> None:
    rig = Rig(4, limit=room(20, 4), overflow="drop_oldest")
    rig.outbox.put_run(data_frames(TEXT, b"abcdef", 2))
    rig.flusher.flush()
    rig.outbox.put(text("old"))
    rig.outbox.put_urgent(control_frame(PING, b"i"))
    rig.outbox.put_urgent(control_frame(PONG, b"o"))
    rig.kernel.script = [0] * 10
    assert rig.outbox.put(text("1234567890"))
    assert drain(rig) == [b"ab", b"i", b"o", b"cd", b"ef", b"1234567890"]


async def test_drop_oldest_holds_at_most_the_begun_message_and_one_more() -> None:
    rig = Rig(1, limit=room(10, 1), overflow="drop_oldest")
    rig.outbox.put(text("x" * 100))
    rig.flusher.flush()
    rig.kernel.script = [0] * 1000
    for number in range(100):
        assert rig.outbox.put(text(f"{number:05}"))
        assert rig.outbox.byte_count <= 101 + 7
    assert drain(rig)[1:] == [b"00099"]


async def test_pings_and_pongs_are_neither_refused_nor_dropped_for_want_of_room() -> None:
    rig = full(Rig(limit=room(10, 1)), "12345678")
    assert rig.outbox.put_urgent(control_frame(PING, bytes(125)))
    assert rig.outbox.put_urgent(control_frame(PONG, bytes(125)))
    assert rig.link.told == ["blocked"]


async def test_pings_and_pongs_are_not_counted_against_the_limit() -> None:
    """A ping of the peer's must not cost it the message that comes next."""
    rig = full(Rig(limit=room(20, 2)), "12345678")
    rig.outbox.put_urgent(control_frame(PONG, bytes(125)))
    assert rig.outbox.put(text("12345678"))
    assert rig.link.told == ["blocked"]


@pytest.mark.parametrize("overflow", POLICIES)
async def test_kernel_is_asked_before_an_overflow_is_declared(overflow: Overflow) -> None:
    """A hook that sends much without waiting is not a slow client."""
    rig = Rig(limit=room(10, 1), overflow=overflow)
    for number in range(100):
        assert rig.outbox.put(text(f"{number:05}"))
    rig.flusher.flush()
    assert rig.outbox.dropped == 0
    assert [int(payload) for payload in rig.kernel.payloads] == list(range(100))


async def test_kernel_that_fails_when_asked_refuses_the_message() -> None:
    rig = Rig(ConnectionResetError(), limit=room(10, 1))
    rig.outbox.put(text("abc"))
    assert not rig.outbox.put(text("x" * 10))
    assert rig.link.told == ["broken"]


async def test_messages_sent_counts_messages_and_no_control_frames() -> None:
    rig = Rig()
    rig.outbox.put(text("one"))
    rig.outbox.put_run(data_frames(TEXT, b"two in three frames", 7))
    rig.outbox.put_urgent(control_frame(PING, b"p"))
    rig.outbox.put_latest("key", text("three"))
    rig.outbox.put_latest("key", text("3"))  # in the place of the one before
    rig.outbox.put_close(control_frame(8, b""))
    assert not rig.outbox.put(text("after the close"))
    assert rig.outbox.messages_sent == 3


@pytest.mark.parametrize(("overflow", "sent"), [("disconnect", 1), ("drop_oldest", 2), ("drop_newest", 1)])
async def test_messages_sent_never_falls_when_messages_are_dropped(overflow: Overflow, sent: int) -> None:
    rig = full(Rig(limit=room(10, 2), overflow=overflow), "abc")
    rig.outbox.put(text("defghijk"))
    assert (rig.outbox.messages_sent, rig.outbox.dropped) == (sent, 1)
