"""Frames are put into outboxes, and messages taken out of inboxes, alike in C and in Python."""

from __future__ import annotations

from threading import Thread
from typing import Any, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.links import function
from wsframe import speedups
from wsframe.connection.flusher import Flusher
from wsframe.connection.mailbox import Inbox, Mailbox, Move
from wsframe.connection.memory_budget import Budget
from wsframe.connection.outbox import Outbox
from wsframe.doorbell import FROM_THREAD
from wsframe.limits import DEFAULT_LIMITS
from wsframe.protocol.frames import TEXT, data_frame

pytestmark = pytest.mark.usefixtures("in_c")

Policy = Literal["disconnect", "drop_newest", "drop_oldest"]


class Wire:
    """Notes the reports of an outbox."""

    def __init__(self) -> None:
        self.events: list[str] = []

    def blocked(self, *, progress: bool) -> None:
        self.events.append(f"blocked {progress}")

    def unblocked(self) -> None:
        self.events.append("unblocked")

    def emptied(self) -> None:
        self.events.append("emptied")

    def broken(self) -> None:
        self.events.append("broken")

    def overflowed(self) -> None:
        self.events.append("overflowed")


class Outside(Flusher):
    """A flusher that needs no trio."""

    __slots__ = ()

    def mark(self, outbox: Any) -> None:
        self.dirty.append(outbox)


class Kernel:
    """Takes so many bytes, and no more."""

    def __init__(self) -> None:
        self.room = 0

    def send(self, data: bytes | memoryview) -> int:
        taken = min(self.room, len(data))
        if not taken:
            raise BlockingIOError
        self.room -= taken
        return taken


Step = tuple[str, int]
steps = st.lists(
    st.one_of(
        st.tuples(st.just("put"), st.integers(0, 700)),
        st.tuples(st.just("latest"), st.integers(0, 2)),
        st.tuples(st.just("urgent"), st.just(0)),
        st.tuples(st.just("flush"), st.integers(0, 2000)),
        st.tuples(st.just("shut"), st.just(0)),
    ),
    max_size=40,
)


def outcome(put: Any, limit: int, policy: Policy, in_turn: bool, todo: list[Step]) -> list[object]:
    """Do some steps; return all that can be seen afterwards, and the results."""
    wire, kernel, flusher = Wire(), Kernel(), Outside(Budget())
    box = Outbox(kernel.send, wire, limit, policy, flusher)
    other = Outbox(kernel.send, Wire(), limit, policy, flusher)
    before = [] if in_turn else [other]  # outside of a turn Python has to ring, unless that has been done
    flusher.in_turn = in_turn
    flusher.dirty.extend(before)
    results: list[object] = []
    for what, size in todo:
        if what == "put":
            results.append(put(box, data_frame(TEXT, b"x" * size)))
        elif what == "latest":
            results.append(box.put_latest(size, data_frame(TEXT, b"k" * 50)))
        elif what == "urgent":
            results.append(box.put_urgent(b"\x89\x00"))
        elif what == "flush":
            kernel.room = size
            flusher.dirty[:] = before
            box.flush()
        else:
            box.shut = True
    items = [bytes(item) for item in box.items]
    marked = flusher.dirty.count(box)
    return [results, items, box.byte_count, box.messages_sent, box.dropped, box.blocked, marked, wire.events]


@given(
    limit=st.sampled_from([100, 1000, 5000, 1 << 40]),
    policy=st.sampled_from(Policy.__args__),  # type: ignore[attr-defined]
    in_turn=st.booleans(),
    todo=steps,
)
def test_a_frame_is_put_alike(limit: int, policy: Policy, in_turn: bool, todo: list[Step]) -> None:
    c, python = function("put_frame", "c"), function("put_frame", "python")
    assert outcome(c, limit, policy, in_turn, todo) == outcome(python, limit, policy, in_turn, todo)


def test_first_frame_of_a_turn_is_put_in_trios_thread_only() -> None:
    flusher, put = Flusher(Budget()), function("put_frame", "c")
    box = Outbox(Kernel().send, Wire(), 1000, "disconnect", flusher)
    flusher.in_turn = True
    raised: list[BaseException] = []

    def from_elsewhere() -> None:
        try:
            put(box, b"frame")
        except RuntimeError as error:
            raised.append(error)

    thread = Thread(target=from_elsewhere)
    thread.start()
    thread.join()
    assert [str(error) for error in raised] == [FROM_THREAD]
    assert (flusher.dirty, box.items) == ([], [])
    assert put(box, b"frame")
    assert (flusher.dirty, box.items) == ([box], [b"frame"])


@given(todo=st.lists(st.sampled_from(["put", "take", "mute", "pause", "move"]), max_size=30))
def test_a_message_is_taken_alike(todo: list[str]) -> None:
    def run(take: Any) -> list[object]:
        resumed: list[int] = []
        budget, mailbox = Budget(), Mailbox[str]()

        class Noting:
            def resume(self) -> None:
                resumed.append(inbox.waiting)

        inbox = Inbox("client", mailbox, DEFAULT_LIMITS, Noting(), budget)
        results: list[object] = []
        for what in todo:
            if what == "put":
                inbox.put(["one", b"two"], 6)
            elif what == "take" and mailbox.entries:
                _, message = mailbox.entries.popleft()
                results.append(take(inbox, message))
            elif what == "mute":
                inbox.muted = True
            elif what == "pause":
                inbox.paused = True
            elif what == "move" and inbox.move is None:
                inbox.begin_move(Move(None))
                mailbox.entries.pop()
        earlier = None if inbox.move is None else [message for _, message in inbox.move.earlier]
        return [results, inbox.waiting, inbox.byte_count, budget.held, resumed, earlier]

    assert run(function("take", "c")) == run(function("take", "python"))


def test_other_arguments_are_refused() -> None:
    for name in ("put_frame", "take"):
        for args in ((), (1,), (1, 2, 3)):
            with pytest.raises(TypeError):
                speedups.FROM_C[name](*args)  # type: ignore[operator]
        with pytest.raises(AttributeError):
            speedups.FROM_C[name](object(), b"")  # type: ignore[operator]


def test_a_slot_that_was_replaced_in_its_class_is_read_anew() -> None:
    class Box:
        __slots__ = ("_latest", "blocked", "shut")
        blocked: bool
        shut: bool

        def put(self, frame: bytes) -> str:
            return "by Python"

    box = Box()
    box.shut = box.blocked = True
    put = function("put_frame", "c")
    assert [put(box, b"") for _ in range(3)] == ["by Python"] * 3
    type.__setattr__(Box, "shut", property(lambda self: 1 / 0))
    with pytest.raises(ZeroDivisionError):
        put(box, b"")


@pytest.mark.parametrize("start", [0, 255, 256, 257, 2**30 - 2, 2**30 - 1, 2**30, 2**60, -1, -300])
@pytest.mark.parametrize("shared", [True, False])
def test_a_number_that_others_have_is_never_written_into(start: int, shared: bool) -> None:
    flusher = Outside(Budget())
    box = Outbox(Kernel().send, Wire(), 1 << 40, "disconnect", flusher)
    flusher.dirty.append(box)
    put = function("put_frame", "c")
    put(box, b"\x81\x00")  # from here on C knows where the numbers are
    box.messages_sent = int(str(start))  # an object of its own
    box.byte_count = int(str(1000))
    held = [box.messages_sent, box.byte_count] if shared else []
    for _ in range(3):
        assert put(box, b"\x81\x00")
    assert (box.messages_sent, box.byte_count) == (start + 3, 1006)
    assert held in ([start, 1000], [])
    assert hash(box.messages_sent) == hash(start + 3)
    assert {start + 3: "found"}[box.messages_sent] == "found"
