"""Frames that wait to be sent: the order on the wire, partial sends, ends."""

import errno
from collections.abc import Callable

import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st

from tests.kernel import Rig
from tests.wire import BINARY, CLOSE, CONTINUATION, PING, PONG, TEXT, Frame
from wsframe.connection import outbox as outbox_module
from wsframe.connection.outbox import MAX_PINGS
from wsframe.doorbell import Signal
from wsframe.protocol.close import close_frame
from wsframe.protocol.frames import control_frame, data_frame, data_frames

LARGE = 64 * 1024


def text(message: str) -> bytes:
    return bytes(data_frame(TEXT, message.encode()))


async def test_small_frames_leave_in_one_send() -> None:
    rig = Rig()
    for message in ("one", "two", "three"):
        assert rig.outbox.put(text(message))
    rig.flusher.flush()
    assert len(rig.kernel.calls) == 1
    assert rig.kernel.payloads == [b"one", b"two", b"three"]


async def test_one_frame_leaves_uncopied() -> None:
    """A broadcast shares one object: joining it with nothing must not copy it."""
    rig = Rig()
    sent: list[object] = []

    def send(data: bytes | memoryview) -> int:
        sent.append(data)
        return len(data)

    rig.outbox.send = send
    message = text("x" * 1000)
    rig.outbox.put(message)
    rig.flusher.flush()
    assert sent[0] is message


async def test_large_frame_leaves_alone() -> None:
    rig = Rig()
    for frame in (text("before"), data_frame(BINARY, bytes(LARGE)), text("after")):
        rig.outbox.put(frame)
    rig.flusher.flush()
    assert [len(call) for call in rig.kernel.calls] == [8, 10, LARGE, 7]
    assert len(rig.kernel.frames) == 3


async def test_no_join_is_above_64_kib() -> None:
    rig = Rig()
    for _ in range(10):
        rig.outbox.put(data_frame(BINARY, bytes(20_000)))
    rig.flusher.flush()
    assert max(map(len, rig.kernel.calls)) <= LARGE
    assert len(rig.kernel.calls) == 4
    assert len(rig.kernel.frames) == 10


@pytest.mark.parametrize("large", [4, LARGE])
async def test_partial_send_at_every_offset_goes_on_where_it_stopped(
    large: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(outbox_module, "LARGE", large)
    wire = text("first") + text("second") + text("third")
    for offset in range(1, len(wire)):
        rig = Rig(*[offset] if large == LARGE else [1] * offset, 0)
        for message in ("first", "second", "third"):
            rig.outbox.put(text(message))
        while rig.outbox.items:
            rig.outbox.flush()
        assert rig.kernel.taken == wire, offset
        assert rig.outbox.byte_count == 0
        assert rig.outbox.bytes_sent == len(wire)


async def test_link_is_told_of_blocking_and_of_the_end_of_it() -> None:
    rig = Rig(3, 0)
    rig.outbox.put(text("hello"))
    rig.flusher.flush()
    assert (rig.outbox.blocked, rig.outbox.byte_count) == (True, 4)
    rig.outbox.flush()
    rig.outbox.flush()
    assert not rig.outbox.blocked
    assert rig.link.told == ["blocked after progress", "blocked", "unblocked", "emptied"]


@pytest.mark.parametrize("opcode", [PING, PONG])
async def test_ping_and_pong_go_ahead_of_queued_messages(opcode: int) -> None:
    rig = Rig()
    rig.outbox.put(text("queued"))
    rig.outbox.put_urgent(control_frame(opcode, b"now"))
    rig.flusher.flush()
    assert rig.kernel.frames == [Frame(opcode, b"now"), Frame(TEXT, b"queued")]


@pytest.mark.parametrize("opcode", [PING, PONG])
async def test_ping_and_pong_wait_for_the_end_of_the_frame_that_has_begun(opcode: int) -> None:
    rig = Rig(4)
    rig.outbox.put(text("begun"))
    rig.outbox.put(text("queued"))
    rig.flusher.flush()
    rig.outbox.put_urgent(control_frame(opcode, b"now"))
    rig.outbox.flush()
    assert rig.kernel.payloads == [b"begun", b"now", b"queued"]


async def test_ping_goes_between_the_fragments_of_a_message() -> None:
    rig = Rig(4)
    rig.outbox.put_run(data_frames(TEXT, b"abcdef", 3))
    rig.flusher.flush()
    rig.outbox.put_urgent(control_frame(PING, b"now"))
    rig.outbox.flush()
    assert rig.kernel.frames == [
        Frame(TEXT, b"abc", fin=False),
        Frame(PING, b"now"),
        Frame(CONTINUATION, b"def"),
    ]


async def test_urgent_frames_keep_their_order() -> None:
    rig = Rig()
    for payload in (b"1", b"2", b"3"):
        rig.outbox.put_urgent(control_frame(PONG, payload))
    rig.flusher.flush()
    assert rig.kernel.payloads == [b"1", b"2", b"3"]


async def test_only_the_newest_pong_is_kept_while_the_kernel_is_full() -> None:
    """RFC 6455 section 5.5.3; it bounds the memory that a flood of pings takes."""
    rig = Rig()
    rig.outbox.put(text("queued"))
    rig.block()
    rig.outbox.put_urgent(control_frame(PING, b"ours"))
    for number in range(1000):
        rig.outbox.put_urgent(control_frame(PONG, b"%03d" % number))
    assert rig.outbox.byte_count == len(text("queued")) + 6 + 5
    rig.outbox.flush()
    assert rig.kernel.payloads == [b"ours", b"999", b"queued"]


async def test_users_pings_are_refused_once_so_many_wait_for_a_kernel_that_is_full() -> None:
    rig = Rig()
    rig.outbox.put(text("queued"))
    rig.block()
    taken = [rig.outbox.put_ping(control_frame(PING, b"%04d" % number)) for number in range(1000)]
    assert taken == [True] * MAX_PINGS + [False] * (1000 - MAX_PINGS)
    assert len(rig.outbox.items) == 1 + MAX_PINGS
    rig.outbox.put_urgent(control_frame(PING, b"keepalive"))
    rig.outbox.put_urgent(control_frame(PONG, b"pong"))
    rig.outbox.flush()
    pings = [b"%04d" % number for number in range(MAX_PINGS)]
    assert rig.kernel.payloads == [*pings, b"keepalive", b"pong", b"queued"]
    assert rig.outbox.put_ping(control_frame(PING, b"again")), "the kernel has taken them"


async def test_one_ping_that_has_begun_to_leave_is_beside_the_count() -> None:
    rig = Rig(3)
    rig.outbox.put_ping(control_frame(PING, b"begun"))
    rig.flusher.flush()
    taken = [rig.outbox.put_ping(control_frame(PING, b"x")) for _ in range(MAX_PINGS + 1)]
    assert taken == [True] * MAX_PINGS + [False]


async def test_users_pings_leave_early_where_the_kernel_takes_them() -> None:
    rig = Rig()
    payloads = [b"%04d" % number for number in range(100)]
    assert all(rig.outbox.put_ping(control_frame(PING, payload)) for payload in payloads)
    assert len(rig.outbox.items) <= MAX_PINGS
    rig.flusher.flush()
    assert rig.kernel.payloads == payloads


async def test_users_ping_finds_the_connection_gone() -> None:
    rig = Rig(BrokenPipeError(errno.EPIPE, "gone"))
    taken = [rig.outbox.put_ping(control_frame(PING, b"")) for _ in range(MAX_PINGS + 2)]
    assert taken == [True] * MAX_PINGS + [False] * 2


async def test_pong_that_has_begun_to_leave_is_finished() -> None:
    rig = Rig(3)
    rig.outbox.put_urgent(control_frame(PONG, b"old"))
    rig.flusher.flush()
    rig.outbox.put_urgent(control_frame(PONG, b"new"))
    rig.outbox.flush()
    assert rig.kernel.payloads == [b"old", b"new"]


async def test_close_goes_last_and_nothing_after_it() -> None:
    rig = Rig()
    rig.outbox.put(text("before"))
    assert rig.outbox.put_close(close_frame(1000))
    assert not rig.outbox.put(text("after"))
    assert not rig.outbox.put_run([text("after")])
    assert not rig.outbox.put_urgent(control_frame(PONG, b"after"))
    assert not rig.outbox.put_close(close_frame(1001))
    rig.flusher.flush()
    assert rig.kernel.frames == [Frame(TEXT, b"before"), Frame(CLOSE, b"\x03\xe8")]
    assert rig.link.told == ["emptied"]


@pytest.mark.parametrize("error", [ConnectionResetError, BrokenPipeError, OSError])
async def test_error_of_the_kernel_empties_and_shuts(error: type[OSError]) -> None:
    rig = Rig(error(errno.EPIPE, "gone"))
    rig.outbox.put(text("lost"))
    rig.outbox.put(text("lost too"))
    rig.flusher.flush()
    assert rig.link.told == ["broken"]
    assert (rig.outbox.items, rig.outbox.byte_count, rig.outbox.shut) == ([], 0, True)
    assert not rig.outbox.put(text("after"))
    rig.flusher.flush()
    assert len(rig.kernel.calls) == 1


async def test_drained_signal_tells_that_all_is_sent() -> None:
    rig = Rig(2, 3)
    rig.outbox.put(text("hello"))
    rig.flusher.flush()
    signal = rig.outbox.drained = Signal()
    rig.outbox.flush()
    assert rig.outbox.drained is signal, "two bytes still wait"
    rig.outbox.flush()
    assert signal.value is True
    assert rig.outbox.drained is None


async def test_drained_signal_tells_that_the_client_is_gone() -> None:
    rig = Rig(2)
    rig.outbox.put(text("hello"))
    rig.flusher.flush()
    signal = rig.outbox.drained = Signal()
    rig.outbox.give_up()
    with trio.fail_after(120):
        assert await signal.wait() is False
    assert (rig.outbox.items, rig.outbox.byte_count, rig.outbox.blocked) == ([], 0, False)


async def test_drop_unsent_keeps_the_frame_that_has_begun() -> None:
    rig = Rig(3)
    for message in ("begun", "dropped", "dropped too"):
        rig.outbox.put(text(message))
    rig.flusher.flush()
    rig.outbox.drop_unsent()
    assert rig.outbox.byte_count == len(text("begun")) - 3
    rig.outbox.put_close(close_frame(1008))
    rig.outbox.flush()
    assert [frame.opcode for frame in rig.kernel.frames] == [TEXT, CLOSE]


async def test_drop_unsent_drops_everything_at_a_frame_boundary() -> None:
    rig = Rig()
    rig.outbox.put(text("dropped"))
    rig.block()
    rig.outbox.drop_unsent()
    rig.outbox.put_close(close_frame(1008))
    rig.outbox.flush()
    assert [frame.opcode for frame in rig.kernel.frames] == [CLOSE]


async def test_drop_unsent_keeps_a_close_frame_that_is_queued() -> None:
    """``close()`` then ``reject()``: the peer is still told the first code."""
    rig = Rig()
    rig.outbox.put(text("dropped"))
    rig.outbox.put_close(close_frame(1000))
    rig.outbox.drop_unsent()
    rig.flusher.flush()
    assert rig.kernel.frames == [Frame(CLOSE, b"\x03\xe8")]
    assert rig.outbox.byte_count == 0


async def test_first_frame_from_another_thread_is_refused() -> None:
    rig = Rig()
    puts: list[Callable[[], bool]] = [
        lambda: rig.outbox.put(text("x")),
        lambda: rig.outbox.put_run([text("x")]),
        lambda: rig.outbox.put_urgent(control_frame(PING, b"")),
        lambda: rig.outbox.put_close(close_frame(1000)),
    ]
    for put in puts:
        with pytest.raises(RuntimeError, match="post_from_thread"):
            await trio.to_thread.run_sync(put)
    assert rig.outbox.items == []
    assert not rig.outbox.shut


Step = tuple[str, int]
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("message"), st.integers(0, 40)),
        st.tuples(st.just("run"), st.integers(0, 40)),
        st.tuples(st.just("ping"), st.just(0)),
        st.tuples(st.just("pong"), st.just(0)),
        st.tuples(st.just("flush"), st.integers(0, 60)),
    ),
    max_size=40,
)


class Story:
    """Plays steps on an outbox and knows the right outcome of each policy."""

    def __init__(self, rig: Rig) -> None:
        self.rig = rig
        self.messages: list[bytes] = []
        self.pings: list[bytes] = []
        self.pongs: list[bytes] = []

    def play(self, steps: list[Step]) -> None:
        for number, (kind, size) in enumerate(steps):
            payload = b"%d:" % number + b"x" * size
            if kind == "flush":
                self.rig.kernel.script = [size, 0]
                self.rig.outbox.flush()
                self.rig.kernel.script = []
            elif kind == "message":
                self.keep(self.rig.outbox.put(data_frame(TEXT, payload)), self.messages, payload)
            elif kind == "run":
                self.keep(self.rig.outbox.put_run(data_frames(TEXT, payload, 5)), self.messages, payload)
            else:
                opcode, sent = (PING, self.pings) if kind == "ping" else (PONG, self.pongs)
                self.keep(self.rig.outbox.put_urgent(control_frame(opcode, payload[:125])), sent, payload[:125])
        self.rig.outbox.flush()

    def keep(self, queued: bool, where: list[bytes], payload: bytes) -> None:
        if queued:
            where.append(payload)

    def arrived(self) -> list[bytes]:
        """Return the messages put together from the frames that were sent; fails if the frames are illegal."""
        messages: list[bytes] = []
        parts: list[bytes] | None = None
        for frame in self.rig.kernel.frames:
            if frame.opcode in (PING, PONG):
                continue
            assert (frame.opcode == CONTINUATION) == (parts is not None)
            parts = [*(parts or []), frame.payload]
            if frame.fin:
                messages.append(b"".join(parts))
                parts = None
        assert parts is None
        return messages

    def controls(self, opcode: int) -> list[bytes]:
        return [frame.payload for frame in self.rig.kernel.frames if frame.opcode == opcode]


@given(steps=STEPS, large=st.sampled_from([8, LARGE]))
async def test_whatever_the_kernel_takes_the_frames_leave_whole_and_in_order(steps: list[Step], large: int) -> None:
    """For any frames and any accepted counts: nothing inside another frame, messages and pings in order."""
    story = Story(Rig())
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(outbox_module, "LARGE", large)
        story.play(steps)
    assert story.arrived() == story.messages
    assert story.controls(PING) == story.pings
    pongs = iter(story.pongs)
    assert all(pong in pongs for pong in story.controls(PONG))
    assert story.controls(PONG)[-1:] == story.pongs[-1:]
    assert (story.rig.outbox.items, story.rig.outbox.byte_count) == ([], 0)


@given(steps=STEPS, limit=st.integers(1, 80))
async def test_drop_oldest_sends_whole_messages_in_order_and_the_newest_always(steps: list[Step], limit: int) -> None:
    story = Story(Rig(limit=limit, overflow="drop_oldest"))
    story.play(steps)
    put = iter(story.messages)
    assert all(message in put for message in story.arrived())
    assert story.arrived()[-1:] == story.messages[-1:]
    assert len(story.arrived()) + story.rig.outbox.dropped == len(story.messages)
    assert story.controls(PING) == story.pings


@given(steps=STEPS, limit=st.integers(1, 80))
async def test_drop_newest_sends_exactly_what_it_said_it_queued(steps: list[Step], limit: int) -> None:
    story = Story(Rig(limit=limit, overflow="drop_newest"))
    story.play(steps)
    assert story.arrived() == story.messages
    asked = sum(kind in ("message", "run") for kind, _ in steps)
    assert len(story.messages) + story.rig.outbox.dropped == asked


async def test_waiting_bytes_are_counted_through_everything() -> None:
    rig = Rig(7)
    rig.outbox.put(text("hello"))
    rig.outbox.put_run(data_frames(TEXT, b"abcdef", 4))
    rig.outbox.put_urgent(control_frame(PING, b"p"))
    assert rig.outbox.byte_count == sum(map(len, rig.outbox.items))
    rig.flusher.flush()
    assert rig.outbox.byte_count == 7 + 6 + 4 + 3 - 7
