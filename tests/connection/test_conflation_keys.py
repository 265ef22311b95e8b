"""Keys of any number and of any kind: the cost of looking one up, and the damage that a key's own code can do."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

import wsframe
from tests.client_side import Sending
from wsframe.connection.conflation import Keyed
from wsframe.connection.frame_queue import FRAMES_AT_ONCE
from wsframe.connection.memory_budget import FRAME_COST, KEY_COST

MANY = 1 << 40


class Counted:
    """A key that counts how often it is hashed and compared."""

    calls = 0

    def __init__(self, name: int) -> None:
        self.name = name

    def __hash__(self) -> int:
        Counted.calls += 1
        return hash(self.name)

    def __eq__(self, other: object) -> bool:
        Counted.calls += 1
        return isinstance(other, Counted) and other.name == self.name


class Items(list[Any]):
    """Items that count how often one of them is looked at, and how many are moved."""

    looks = 0

    def __iter__(self) -> Any:
        Items.looks += len(self)
        return super().__iter__()

    def __getitem__(self, at: Any) -> Any:
        Items.looks += len(range(*at.indices(len(self)))) if isinstance(at, slice) else 1
        return super().__getitem__(at)

    def __setitem__(self, at: Any, value: Any) -> None:
        Items.looks += len(range(*at.indices(len(self)))) if isinstance(at, slice) else 1
        super().__setitem__(at, value)

    def __delitem__(self, at: Any) -> None:
        Items.looks += len(self)
        super().__delitem__(at)


def work(keys: int, do: Callable[[Sending, int], object], *, limit: int = MANY, overflow: Any = "disconnect") -> float:
    """Return the looks, moves, hashes and comparisons of one of a thousand calls, with that many keys waiting."""
    sending = Sending(space=1, limit=limit, overflow=overflow)
    sending.outbox.items = Items()
    sending.client.send_text("begun")
    sending.outbox.flush()
    for key in range(keys):
        sending.client.send_text(f"{key:06}", key=Counted(key))
    Items.looks = Counted.calls = 0
    for number in range(1000):
        do(sending, number * 7919 % keys)
    return (Items.looks + Counted.calls) / 1000


OPERATIONS: dict[str, Callable[[Sending, int], object]] = {
    "replace": lambda sending, key: sending.client.send_text("xxxxxx", key=Counted(key)),
    "replace with more": lambda sending, key: sending.client.send_text("x" * 100, key=Counted(key)),
    "a new key": lambda sending, key: sending.client.send_text("x", key=Counted(key + 10**6)),
    "no key": lambda sending, key: sending.client.send_text("x"),
    "ping": lambda sending, key: sending.outbox.put_urgent(b"\x8a\x00"),
}


@pytest.mark.parametrize("operation", OPERATIONS)
@pytest.mark.parametrize("overflow", ["disconnect", "drop_oldest", "drop_newest"])
async def test_what_a_message_costs_does_not_hinge_on_how_many_wait(operation: str, overflow: Any) -> None:
    few = work(100, OPERATIONS[operation], overflow=overflow)
    many = work(5_000, OPERATIONS[operation], overflow=overflow)
    assert many <= few + 25


@pytest.mark.parametrize("operation", ["replace with more", "a new key", "no key"])
async def test_nor_does_dropping_the_oldest(operation: str) -> None:
    def cost(keys: int) -> float:
        each = 8 + FRAME_COST + KEY_COST
        return work(keys, OPERATIONS[operation], limit=7 + FRAME_COST + keys * each, overflow="drop_oldest")

    assert cost(5_000) <= cost(500) + 50


async def test_nor_does_what_the_peer_takes_now_and_then() -> None:
    """Each time no more is offered to the kernel than one call is to take."""
    few = work(2 * FRAMES_AT_ONCE, lambda sending, _: sending.take(7))
    assert work(20 * FRAMES_AT_ONCE, lambda sending, _: sending.take(7)) <= few + 25


class Colliding:
    """A key of the same hash as all others."""

    def __init__(self, name: str) -> None:
        self.name = name

    def __hash__(self) -> int:
        return 17

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Colliding) and other.name == self.name


async def test_keys_of_one_hash_are_told_apart() -> None:
    sending = Sending(space=0)
    for name in ("a", "b", "c", "b", "a", "c"):
        assert sending.client.send_text(f"{name} {len(sending.outbox.items)}", key=Colliding(name))
    sending.take(6)  # the first is gone, the second has begun
    for name in ("a", "b"):
        assert sending.client.send_text(f"{name} new", key=Colliding(name))
    sending.take()
    assert sending.messages() == [b"a 3", b"b 3", b"c 3", b"a new", b"b new"]
    assert sending.held == 0


class Evil:
    """A key that raises once it is told to."""

    raises: BaseException | None = None

    def __init__(self, when: str) -> None:
        self.when = when

    def __hash__(self) -> int:
        if self.when == "hash" and Evil.raises is not None:
            raise Evil.raises
        return 17

    def __eq__(self, other: object) -> bool:
        if self.when == "eq" and Evil.raises is not None:
            raise Evil.raises
        return self is other


@pytest.mark.parametrize("when", ["hash", "eq"])
@pytest.mark.parametrize("error", [ZeroDivisionError(), RecursionError(), KeyboardInterrupt(), SystemExit(3)])
async def test_a_key_that_raises_costs_that_call_alone(
    when: str, error: BaseException, monkeypatch: pytest.MonkeyPatch
) -> None:
    sending = Sending(space=0, limit=5000, overflow="drop_oldest")
    for message in ("one", "two"):
        assert sending.client.send_text(message, key=Evil(when))
    held = sending.held
    monkeypatch.setattr(Evil, "raises", error)
    for _ in range(3):
        with pytest.raises(type(error)):
            sending.client.send_text("three", key=Evil(when))
        with pytest.raises(type(error)):
            wsframe.broadcast_text([sending.client], "three", key=Evil(when))
    assert sending.held == held
    for number in range(100):  # the evil ones leave, are dropped and stood in front of meanwhile
        assert sending.client.send_text(f"{number}" * 20, key=number)
    sending.take(200)
    sending.take()
    assert sending.messages()[-1] == b"99" * 20
    assert sending.held == 0


async def test_a_comparison_that_sends_what_waits_does_no_harm() -> None:
    sending = Sending(space=0)

    class Flushing(Colliding):
        def __eq__(self, other: object) -> bool:
            sending.take()
            return True

        __hash__ = Colliding.__hash__

    for message in ("one", "two"):
        assert sending.client.send_text(message, key=Flushing(message))
    sending.take()
    assert sending.messages() == [b"one", b"two"]
    assert (sending.outbox.byte_count, sending.held) == (0, 0)


async def test_a_large_frame_and_a_small_one_take_each_others_place() -> None:
    sending = Sending(space=0)
    for size in (10, 100_000, 70_000, 0, 5, 80_000):
        assert sending.client.send_binary(bytes(size), key="k")
        assert sending.client.send_text("between", key="b")
    assert [type(frame) for frame in sending.outbox.items] == [Keyed, Keyed]
    sending.take(50)
    sending.take()
    assert [len(message) for message in sending.messages()] == [80_000, 7]
