"""One message to many clients."""

from collections.abc import Iterable
from typing import cast

import pytest

import wsframe
from tests.kernel import Rig
from tests.recorder import Recorder
from tests.resources.test_client import make_client
from tests.wire import BINARY, CONTINUATION, TEXT, Frame, connected, serving
from wsframe import Broadcast, broadcast_binary, broadcast_text
from wsframe.connection.memory_budget import FRAME_COST


class Crowd:
    """Clients without sockets."""

    def __init__(self, count: int, frames: int = 4) -> None:
        self.rigs = [Rig(limit=100 + frames * FRAME_COST, overflow="drop_newest") for _ in range(count)]
        self.clients = [make_client(rig) for rig in self.rigs]

    def frames(self) -> list[list[Frame]]:
        for rig in self.rigs:
            rig.outbox.flush()
        return [rig.kernel.frames for rig in self.rigs]


async def test_every_client_gets_the_message_once() -> None:
    crowd = Crowd(3)
    assert broadcast_text(crowd.clients, "grüß") == Broadcast(queued=3, dropped=0)
    assert crowd.frames() == [[Frame(TEXT, "grüß".encode())]] * 3


@pytest.mark.parametrize("message", ["text", b"text", bytearray(b"text"), memoryview(b"text")])
async def test_text_may_be_str_or_bytes(message: str | bytes | bytearray | memoryview) -> None:
    crowd = Crowd(2)
    broadcast_text(crowd.clients, message)
    assert crowd.frames() == [[Frame(TEXT, b"text")]] * 2


@pytest.mark.parametrize("message", [b"\xff", bytearray(b"\xff"), memoryview(b"\xff")])
async def test_binary_may_be_any_bytes(message: bytes | bytearray | memoryview) -> None:
    crowd = Crowd(2)
    broadcast_binary(crowd.clients, message)
    assert crowd.frames() == [[Frame(BINARY, b"\xff")]] * 2


async def test_any_iterable_of_clients_will_do() -> None:
    crowd = Crowd(2)
    lists: list[Iterable[wsframe.Client]] = [
        crowd.clients, tuple(crowd.clients), set(crowd.clients), dict.fromkeys(crowd.clients), iter(crowd.clients),
        (client for client in crowd.clients),
    ]  # fmt: skip
    for clients in lists:
        assert broadcast_text(clients, "x") == (2, 0)
    assert crowd.frames() == [[Frame(TEXT, b"x")] * 6] * 2


async def test_no_clients_is_no_error() -> None:
    assert broadcast_text([], "x") == (0, 0)
    assert broadcast_binary(iter(()), b"x", frame_size=1) == (0, 0)


async def test_client_listed_twice_gets_it_twice() -> None:
    crowd = Crowd(1)
    assert broadcast_text(crowd.clients * 2, "x") == (2, 0)
    assert crowd.frames() == [[Frame(TEXT, b"x")] * 2]


async def test_the_very_same_bytes_are_in_every_outbox() -> None:
    """Encoded once: a thousand clients cost one frame."""
    crowd = Crowd(5)
    broadcast_text(crowd.clients, "x" * 50)
    broadcast_binary(crowd.clients, b"abcd", frame_size=2)
    first = crowd.rigs[0].outbox.items
    assert len(first) == 3
    for rig in crowd.rigs[1:]:
        assert all(mine is theirs for mine, theirs in zip(rig.outbox.items, first, strict=True))


async def test_outboxes_share_frames_but_not_their_list() -> None:
    crowd = Crowd(2)
    broadcast_text(crowd.clients, "abcd", frame_size=2)
    crowd.rigs[0].outbox.flush()
    assert len(crowd.rigs[1].outbox.items) == 2


@pytest.mark.parametrize("binary", [False, True])
async def test_frame_size_splits_for_everybody(binary: bool) -> None:
    crowd = Crowd(2)
    if binary:
        broadcast_binary(crowd.clients, b"abcd", frame_size=3)
    else:
        broadcast_text(crowd.clients, "abcd", frame_size=3)
    frames = [Frame(BINARY if binary else TEXT, b"abc", fin=False), Frame(CONTINUATION, b"d")]
    assert crowd.frames() == [frames, frames]


async def test_one_client_may_be_excluded() -> None:
    crowd = Crowd(3)
    assert broadcast_text(crowd.clients, "x", exclude=crowd.clients[1]) == (2, 0)
    assert [len(frames) for frames in crowd.frames()] == [1, 0, 1]


@pytest.mark.parametrize("kind", [list, tuple, set, frozenset])
async def test_collection_of_clients_may_be_excluded(kind: type[list[wsframe.Client]]) -> None:
    crowd = Crowd(3)
    assert broadcast_binary(iter(crowd.clients), b"x", exclude=kind(crowd.clients[:2])) == (1, 0)
    assert [len(frames) for frames in crowd.frames()] == [0, 0, 1]


async def test_excluding_a_stranger_excludes_nobody() -> None:
    crowd, stranger = Crowd(2), Crowd(1)
    assert broadcast_text(crowd.clients, "x", exclude=stranger.clients[0]) == (2, 0)


@pytest.mark.parametrize("nobody", [None, "ann", 7, ["ann"], [None]])
async def test_excluding_an_object_that_is_not_a_client_is_a_type_error_and_reaches_nobody(nobody: object) -> None:
    crowd = Crowd(2)
    for broadcast in (broadcast_text, broadcast_binary):
        with pytest.raises(TypeError, match="exclude is a client, or a collection of clients, not"):
            broadcast(crowd.clients, b"x", exclude=cast("wsframe.Client", nobody))
    assert crowd.frames() == [[], []]


@pytest.mark.parametrize("frame_size", [None, 5])
async def test_closed_clients_and_full_outboxes_are_counted_as_dropped(frame_size: int | None) -> None:
    crowd = Crowd(3, frames=1 if frame_size is None else 11)
    crowd.rigs[0].outbox.give_up()
    crowd.rigs[1].outbox.put(bytes((0x82, 60)) + bytes(60))
    crowd.rigs[1].block()
    crowd.rigs[1].kernel.script = [0]
    assert broadcast_text(crowd.clients, "x" * 50, frame_size=frame_size) == Broadcast(queued=1, dropped=2)


@pytest.mark.parametrize("message", [None, 1, ["x"]])
async def test_other_types_are_type_errors_and_reach_nobody(message: object) -> None:
    crowd = Crowd(1)
    with pytest.raises(TypeError, match="a text message must be str, or UTF-8 as bytes, bytearray or memoryview, not"):
        broadcast_text(crowd.clients, cast("str", message))
    with pytest.raises(TypeError, match="a binary message must be bytes, bytearray or memoryview, not"):
        broadcast_binary(crowd.clients, cast("bytes", message))
    assert crowd.frames() == [[]]


async def test_text_as_binary_is_a_type_error() -> None:
    with pytest.raises(TypeError):
        broadcast_binary([], "x")  # type: ignore[arg-type]


async def test_frame_size_below_one_is_a_value_error() -> None:
    with pytest.raises(ValueError, match="frame_size"):
        broadcast_text([], "x", frame_size=0)


async def test_clients_of_different_resources_may_be_in_one_list() -> None:
    left, right = Recorder(), Recorder()
    async with (
        serving({"/left": left, "/right": right}) as server,
        connected(server, "/left") as first,
        connected(server, "/right") as second,
    ):
        await left.journal.until("connected")
        await right.journal.until("connected")
        assert broadcast_text([*left.clients, *right.clients], "both") == (2, 0)
        assert await first.receive_text() == "both"
        assert await second.receive_text() == "both"


async def test_resource_broadcasts_to_its_own_clients() -> None:
    room = Recorder()
    async with serving(room) as server, connected(server) as first, connected(server) as second:
        await room.journal.until("connected", 2)
        early, _ = room.clients
        assert room.broadcast_text("text", frame_size=10) == (2, 0)
        assert room.broadcast_text("not for the first", exclude=early) == (1, 0)
        assert room.broadcast_binary(b"binary") == (2, 0)
        assert room.broadcast_binary(b"for nobody", exclude=room.clients) == (0, 0)
        received = [[await peer.receive() for _ in range(2)] for peer in (first, second)]
        received[1].append(await second.receive())
    assert [len(frames) for frames in received] == [2, 3]
    assert Frame(TEXT, b"not for the first") in received[1]


async def test_client_that_is_closing_is_dropped_and_nobody_else() -> None:
    room = Recorder()
    async with serving(room) as server, connected(server) as first, connected(server) as second:
        await room.journal.until("connected", 2)
        early, _ = room.clients
        early.close()
        assert room.broadcast_text("x") == Broadcast(queued=1, dropped=1)
        await first.finish()
        assert await second.receive_text() == "x"


async def test_resource_that_is_not_served_broadcasts_to_nobody() -> None:
    assert wsframe.Resource().broadcast_text("x") == (0, 0)
    assert wsframe.Resource().broadcast_binary(b"x") == (0, 0)
