"""Messages with a key: a slow reader gets the newest of each key, and everything else."""

from __future__ import annotations

from typing import Any

import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st

import wsframe
from tests.client_side import Sending
from tests.wire import TEXT, connected, serving, text, until
from wsframe.connection.memory_budget import FRAME_COST, KEY_COST


async def test_what_waits_is_replaced_in_its_place() -> None:
    sending = Sending(space=0)
    for message, key in (("a1", "a"), ("plain", None), ("b1", "b"), ("a2 longer", "a"), ("plain", None), ("b2", "b")):
        assert sending.client.send_text(message, key=key)
        sending.outbox.flush()
    assert sending.outbox.byte_count == sum(map(len, sending.outbox.items))
    assert sending.held == sending.outbox.byte_count + 4 * FRAME_COST + 2 * KEY_COST
    sending.take()
    assert sending.messages() == [b"a2 longer", b"plain", b"b2", b"plain"]
    assert sending.outbox.byte_count == sending.held == 0


async def test_a_message_that_has_begun_is_never_replaced() -> None:
    sending = Sending(space=1)
    sending.client.send_text("first", key="k")
    sending.outbox.flush()
    for message in ("second", "third", "fourth"):
        sending.client.send_text(message, key="k")
    assert sending.outbox.byte_count == 6 + 8
    assert sending.held == 7 + 8 + 2 * FRAME_COST + 2 * KEY_COST
    sending.take()
    assert sending.messages() == [b"first", b"fourth"]


async def test_one_that_has_left_is_not_replaced() -> None:
    sending = Sending()
    for message in ("first", "second"):
        sending.client.send_text(message, key="k")
        sending.outbox.flush()
    assert sending.messages() == [b"first", b"second"]


@pytest.mark.parametrize("message", ["same", ""])
async def test_equal_messages_of_different_keys_are_different(message: str) -> None:
    sending = Sending(space=0)
    for one, key in ((message, None), ("between", None), (message, "a"), (message, "b"), ("new", "a")):
        sending.client.send_text(one, key=key)
    sending.take()
    assert sending.messages() == [message.encode(), b"between", b"new", message.encode()]


@pytest.mark.parametrize("key", [0, "", False, (), frozenset()])
async def test_any_hashable_but_none_is_a_key(key: Any) -> None:
    sending = Sending(space=0)
    sending.client.send_text("old", key=key)
    sending.client.send_binary(b"new", key=key)
    sending.take()
    assert sending.messages() == [b"new"]


async def test_a_key_and_a_frame_size_contradict_each_other() -> None:
    sending = Sending()
    for message in ("", "short", "longer than the frame size"):
        with pytest.raises(ValueError, match="key"):
            sending.client.send_text(message, key="k", frame_size=10)
        with pytest.raises(ValueError, match="key"):
            sending.client.send_binary(message.encode(), key="k", frame_size=10)
        with pytest.raises(ValueError, match="key"):
            wsframe.broadcast_text([sending.client], message, key="k", frame_size=10)
    assert not sending.outbox.items


async def test_a_key_is_remembered_when_room_was_made_by_sending() -> None:
    """The kernel takes everything in the midst of it: an outbox that is not blocked asks it first."""
    sending = Sending(limit=100)
    for number in range(5):
        assert sending.client.send_text(f"{number}" * 60, key=number)
    assert sending.client.send_text("new", key=4)
    sending.take()
    assert sending.messages() == [b"0" * 60, b"1" * 60, b"2" * 60, b"3" * 60, b"new"]


@pytest.mark.parametrize("overflow", ["drop_oldest", "drop_newest", "disconnect"])
async def test_replacing_does_not_get_round_the_limit(overflow: Any) -> None:
    sending = Sending(space=0, limit=1000, overflow=overflow)
    for key in range(100):
        sending.client.send_text("x", key=key)
        sending.outbox.flush()
    for key in range(100):
        sending.client.send_text("x" * 500, key=key)
    assert sending.outbox.weight <= 1000
    assert ("overflowed" in sending.line.told) is (overflow == "disconnect")


async def test_what_was_dropped_is_not_kept() -> None:
    sending = Sending(space=0, limit=1000, overflow="drop_oldest")
    for key in range(500):
        sending.client.send_text("x" * 90, key=key)
        sending.outbox.flush()
    latest = sending.outbox._latest
    assert latest is not None
    assert 0 < len(latest) == len(latest._chains) == sum(map(bool, sending.outbox.items))
    sending.outbox.give_up()
    assert not sending.outbox._latest


operations = st.lists(
    st.tuples(
        st.sampled_from(["send", "broadcast", "take", "ping"]), st.none() | st.integers(0, 3), st.integers(0, 30)
    ),
    max_size=40,
)


@given(operations)
async def test_the_newest_of_each_key_and_every_other_message_arrive(
    steps: list[tuple[str, int | None, int]],
) -> None:
    sending = Sending(space=0)
    plain, newest = [], {}
    for serial, (what, key, size) in enumerate(steps):
        message = f"{key} {serial} {'x' * size}"
        if what == "take":
            sending.take(size)
            sending.line.space = 0
        elif what == "ping":
            sending.client.ping(b"?")
        else:
            if what == "send":
                assert sending.client.send_text(message, key=key)
            else:
                assert wsframe.broadcast_text([sending.client], message, key=key) == (1, 0)
            if key is None:
                plain.append(message)
            else:
                newest[key] = message
        assert sending.outbox.byte_count == sum(map(len, sending.outbox.items)) - sending.outbox._offset
    sending.take()
    seen = [message.decode() for message in sending.messages()]
    assert [message for message in seen if message.startswith("None")] == plain
    for key, message in newest.items():
        versions = [one for one in seen if one.startswith(f"{key} ")]
        assert versions[-1] == message
        assert versions == sorted(versions, key=lambda one: int(one.split(" ")[1]))
    assert sending.held == 0


class Prices(wsframe.Resource):
    """Sends prices by the thousand when asked to, and a word now and then."""

    limits = wsframe.Limits(max_outbox=256 * 1024, unsent_low_water=4096)

    def __init__(self) -> None:
        self.done = trio.Event()

    async def received_text(self, client: wsframe.Client, message: str) -> None:
        for number in range(2000):
            self.broadcast_text(f"price {number} " + "x" * 4000, key="price")
            if number % 500 == 0:
                self.broadcast_text(f"word {number}")
            await trio.lowlevel.checkpoint()  # sends as much as the kernel takes
        self.done.set()


async def test_a_stalled_reader_gets_the_newest_price_and_every_word() -> None:
    resource = Prices()
    async with (
        serving(resource) as server,
        connected(server, window=4096) as slow,
        connected(server) as asking,
    ):
        await until(lambda: len(resource.clients) == 2)
        await asking.send(text("go"))
        await resource.done.wait()
        seen: dict[str, list[int]] = {"price": [], "word": []}
        while seen["price"][-1:] != [1999] or len(seen["word"]) < 4:
            one = await slow.receive()
            assert one is not None
            assert (one.opcode, one.fin, one.reserved) == (TEXT, True, 0)
            kind, number = one.payload.split(b" ")[:2]
            seen[kind.decode()].append(int(number))
        assert seen["word"] == [0, 500, 1000, 1500]
        assert seen["price"] == sorted(seen["price"])
        assert len(seen["price"]) < 1000
        for client in resource.clients:
            assert client.statistics().messages_dropped == 0
