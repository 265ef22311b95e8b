"""``check_message``: a frame is refused by its header, before its payload is held."""

import logging
import random
from collections import Counter

import pytest
import trio
from trio.testing import MockClock

import wsframe
from tests.recorder import Recorder
from tests.wire import BINARY, CONTINUATION, PING, TEXT, close, connected, frame, serving, text
from wsframe import Deflate, Limits
from wsframe.limits import DEFAULT_LIMITS, DEFAULT_TIMEOUTS, filled
from wsframe.protocol.decoder import ENGINE_FRAMES, Decoder
from wsframe.protocol.events import Ended, Event
from wsframe.testing import open_kit


class Checking(Recorder):
    """Notes its arguments, and returns the answer that it was given."""

    def __init__(self) -> None:
        super().__init__()
        self.asked: list[tuple[str, int, int]] = []
        self.answers: dict[int, object] = {}

    def check_message(
        self, client: wsframe.Client, kind: str, frame_length: int, total_length: int
    ) -> int | tuple[int, str] | None:
        self.asked.append((kind, frame_length, total_length))
        answer = self.answers.get(total_length)
        if isinstance(answer, Exception):
            raise answer
        if callable(answer):
            answer = answer(client)
        return answer  # type: ignore[return-value]


FRAMES = [
    text("whole"),
    frame(TEXT, b"ab", fin=False), frame(PING, b"now"), frame(CONTINUATION, fin=False), frame(CONTINUATION, b"c"),
    frame(BINARY, bytes(70_000)), frame(BINARY, bytes(200), fin=False), frame(CONTINUATION, bytes(126)),
]  # fmt: skip
ASKED = [
    ("text", 5, 5),
    ("text", 2, 2), ("text", 0, 2), ("text", 1, 3),
    ("binary", 70_000, 70_000), ("binary", 200, 200), ("binary", 126, 326),
]  # fmt: skip


async def test_it_is_asked_once_for_each_data_frame() -> None:
    room = Checking()
    async with serving(room) as server, connected(server) as peer:
        await peer.send(*FRAMES)
        await room.journal.until(f"binary {bytes(326)!r}")
        await peer.send(close())
        await room.journal.until("disconnected 1000")
    assert room.asked == ASKED
    assert room.notes[1:3] == ["text whole", "text abc"]


async def test_it_is_asked_once_in_whatever_pieces_a_frame_comes() -> None:
    """The engine looks at a header again for each read that its masking key still lacks."""
    room = Checking()
    data, chance = b"".join(FRAMES), random.Random(1)
    async with serving(room) as server, connected(server) as peer:
        peer.stream.setsockopt(6, 1, 1)  # TCP_NODELAY
        at = 0
        while at < len(data):
            step = chance.choice((1, 2, 3, 5, 9)) if len(data) - at < 1000 or at < 60 else 30_000
            await peer.send(data[at : at + step])
            await trio.testing.wait_all_tasks_blocked()
            at += step
        await room.journal.until(f"binary {bytes(326)!r}")
    assert room.asked == ASKED


@pytest.mark.parametrize(
    ("answer", "sent"), [(4001, (4001, "")), ((1008, "too long"), (1008, "too long")), ((1000, ""), (1000, ""))]
)
async def test_refused_by_the_header_alone(answer: object, sent: tuple[int, str]) -> None:
    """The payload need not have come, and never does."""
    room = Checking()
    room.answers[100_000] = answer
    async with serving(room) as server, connected(server) as peer:
        await peer.send(text("before"), frame(BINARY, bytes(100_000))[:10])
        assert await peer.receive_close() == sent
        await peer.send(close(sent[0]))
        await room.journal.until(f"disconnected {sent[0]}")
    assert room.notes == ["connected", "text before", f"disconnected {sent[0]}"]


async def test_refused_in_the_middle_of_a_message() -> None:
    room = Checking()
    room.answers[3] = 4000
    async with serving(room) as server, connected(server) as peer:
        await peer.send(frame(TEXT, b"ab", fin=False), frame(CONTINUATION, b"c"), text("late"))
        assert await peer.receive_close() == (4000, "")
        await peer.send(close(4000))
        await room.journal.until("disconnected 4000")
    assert room.notes == ["connected", "disconnected 4000"]


@pytest.mark.parametrize(
    "answer", [ZeroDivisionError(), 1006, "1008", True, (1008,), (1008, 5), (1008, "a", "b"), 0, ()], ids=repr
)
async def test_bug_in_it_closes_1011_and_is_logged(answer: object, caplog: pytest.LogCaptureFixture) -> None:
    room = Checking()
    room.answers[1] = answer
    async with serving(room) as server, connected(server) as other:
        async with connected(server, trailing=text("x")) as peer:
            assert await peer.receive_close() == (1011, "internal error")
        await other.send(text("fine"))
        await room.journal.until("text fine")
    (record,) = [record for record in caplog.records if record.levelno >= logging.ERROR]
    assert record.getMessage().startswith("check_message of Checking failed for <Client ")


async def test_error_close_code_is_the_resources_own() -> None:
    class Custom(Checking):
        error_close_code = 4500

    room = Custom()
    room.answers[1] = ZeroDivisionError()
    async with serving(room) as server, connected(server, trailing=text("x")) as peer:
        assert await peer.receive_close() == (4500, "internal error")


@pytest.mark.parametrize("after", [text("late"), b""])
async def test_it_may_close_the_client_itself(after: bytes) -> None:
    room = Checking()
    room.answers[3] = lambda client: client.close(4000, "by itself") and None
    async with serving(room) as server, connected(server) as peer:
        await peer.send(text("a") + text("end") + after)
        assert await peer.receive_close() == (4000, "by itself")
        await peer.send(close(4000))
        await room.journal.until("disconnected 4000")
    assert room.notes == ["connected", "text a", "disconnected 4000"]


async def test_it_may_reset_the_client(caplog: pytest.LogCaptureFixture) -> None:
    room = Checking()
    room.answers[3] = lambda client: client.abort() and None
    async with serving(room) as server, connected(server) as peer:
        await peer.send(text("end"), text("late"))
        assert await peer.end() == "reset"
        await room.journal.until("disconnected 1006")
    assert room.notes == ["connected", "disconnected 1006"]
    assert [record for record in caplog.records if record.levelno >= logging.ERROR] == []


async def test_limits_hold_before_it_and_what_is_no_message_is_no_question() -> None:
    room = Checking()
    async with serving(room, limits=wsframe.Limits(max_message=10)) as server:
        for data, code in (
            (frame(TEXT, bytes(11)), 1009),
            (frame(CONTINUATION, b"of nothing"), 1002),
            (frame(3, b"reserved"), 1002),
        ):
            async with connected(server, trailing=data) as peer:
                assert (await peer.receive_close())[0] == code
    assert room.asked == []


async def test_it_is_told_the_bytes_as_sent() -> None:
    import zlib

    class Compressed(Checking):
        deflate = Deflate.shared()

    packer = zlib.compressobj(wbits=-15)
    packed = (packer.compress(b"x" * 1000) + packer.flush(zlib.Z_SYNC_FLUSH))[:-4]
    whole = bytearray(frame(TEXT, packed))
    whole[0] |= 0x40
    room = Compressed()
    fields = {"Sec-WebSocket-Extensions": "permessage-deflate"}
    async with serving(room) as server, connected(server, fields=fields) as peer:
        await peer.send(bytes(whole))
        await room.journal.until("text " + "x" * 1000)
    assert room.asked == [("text", len(packed), len(packed))]


async def test_where_it_is_not_overridden_nothing_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    def ask(*args: object) -> None:
        raise AssertionError("asked")

    monkeypatch.setattr(Decoder, "ask", ask)
    async with serving(Recorder()) as server, connected(server, trailing=text("x")) as peer:
        await peer.finish()


def test_it_must_be_a_plain_function() -> None:
    with pytest.raises(TypeError, match="check_message must be a plain function"):
        type("Wrong", (wsframe.Resource,), {"check_message": Recorder.disconnected})


@pytest.mark.parametrize(
    "begun", [frame(TEXT, b"ab", fin=False), frame(TEXT, b"ab", fin=False) + frame(CONTINUATION)[:1]]
)
async def test_who_moves_in_mid_message_is_asked_about_its_other_frames(begun: bytes) -> None:
    class Lobby(Recorder):
        async def received_custom(self, message: object) -> None:
            self.journal.add(f"moved {self.only.move_to(room)}")

    lobby, room = Lobby(), Checking()
    room.answers[4] = 4000
    rest = frame(TEXT, b"ab", fin=False) + frame(CONTINUATION, b"cd") + text("late")
    async with serving({"/": lobby, "/room": room}) as server, connected(server, trailing=begun) as peer:
        await lobby.journal.until("connected")
        await trio.testing.wait_all_tasks_blocked()
        lobby.post(None)
        await room.journal.until("connected")
        await peer.send(rest[len(begun) :])
        assert await peer.receive_close() == (4000, "")
    assert room.asked == [("text", 2, 4)]


def test_peers_close_frame_is_found_behind_what_it_closed_for() -> None:
    data = text("end") + text("later" * 20) + frame(BINARY, bytes(300)) + frame(PING, b"p") + close(4000)
    limits, timeouts = filled(wsframe.Limits(), DEFAULT_LIMITS), filled(wsframe.Timeouts(), DEFAULT_TIMEOUTS)
    for cut in range(len(data)):
        connection = Decoder(limits, timeouts, 0.0)
        events: list[Event] = []

        def close_it(*_: object, connection: Decoder = connection, events: list[Event] = events) -> None:
            events += connection.close()

        connection.ask(close_it)
        for piece in (data[:cut], data[cut:]):
            events += connection.receive(bytearray(piece), 100)
        (ended,) = events
        assert isinstance(ended, Ended)
        assert (ended.code, ended.clean, ended.owed) == (4000, True, False)


async def test_it_may_end_another_client_whose_turn_comes_at_the_same_time(autojump_clock: MockClock) -> None:
    class Jealous(Recorder):
        limits = Limits(max_message_rate=10)

        def __init__(self) -> None:
            super().__init__()
            self.frames: Counter[wsframe.Client] = Counter()

        def check_message(self, client: wsframe.Client, kind: str, frame_length: int, total_length: int) -> None:
            self.frames[client] += 1
            if self.frames[client] > ENGINE_FRAMES:  # those behind a pause, which ends at the same time for both
                for other in self.clients:
                    if other is not client:
                        other.abort()

    room = Jealous()
    async with open_kit(room) as kit:
        for peer in [await kit.connect() for _ in range(2)]:
            peer.send_bytes(text("x") * (ENGINE_FRAMES + 1))
        await trio.sleep(60)
        assert [note for note in room.notes if note.startswith("disconnected")] == ["disconnected 1006"]
        assert sorted(room.frames.values()) == [ENGINE_FRAMES, ENGINE_FRAMES + 1]
        await kit.connect()
