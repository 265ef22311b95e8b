"""Typed messages: decoding, refusals, and sending."""

from __future__ import annotations

import subprocess
import sys
from datetime import date
from typing import Literal

import msgspec
import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st

import wsframe
from tests.patience import PATIENCE
from tests.resources.json_room import Join, Room, Say, Unknown
from tests.wire import TEXT, Frame, connected, frame, serving, text
from wsframe import Client, JSONResource


async def test_each_message_comes_as_an_object_of_its_type() -> None:
    room = Room()
    async with serving(room) as server, connected(server) as peer:
        await peer.send(text('{"type": "Join", "nick": "ann"}'))
        await peer.send(text('{"type": "Say", "text": "hi", "at": "2026-01-31", "more": [1]}'))
        await peer.send(frame(2, b"\x00"), text('{"type": "Say", "text": "echo"}'))
        assert await peer.receive_text() == "bytes"
        assert await peer.receive_text() == '{"type":"Say","text":"echo","at":null}'
        await peer.finish()
    assert room.messages == [Join("ann"), Say("hi", date(2026, 1, 31)), b"\x00", Say("echo")]


NO_JSON = {
    "": "truncated",
    "hello": "malformed",
    "{": "truncated",
    '{"type": "Join", "nick": "a"} x': "malformed",
    "{'type': 'Join'}": "malformed",
    '{"type": "Join", "nick": NaN}': "malformed",
    '{"type": "Join", "nick": "\ud800"}'.encode("unicode_escape").decode(): "",
}

OTHER_TYPE = {
    "{}": "missing required field `type`",
    "null": "Expected `object`, got `null`",
    "[]": "Expected `object`, got `array`",
    '{"type": "Nothing"}': "Invalid value 'Nothing'",
    '{"type": "Join"}': "missing required field `nick`",
    '{"type": "Join", "nick": 7}': "Expected `str`, got `int` - at `$.nick`",
    '{"type": "Say", "text": "12345678901"}': "length <= 10",
    '{"type": "Say", "text": "", "at": "tomorrow"}': "Invalid RFC3339 encoded date",
}


@pytest.mark.parametrize(
    ("sent", "code", "reason"),
    [(sent, 1007, reason) for sent, reason in NO_JSON.items()]
    + [(sent, 1003, reason) for sent, reason in OTHER_TYPE.items()],
)
async def test_a_message_that_does_not_fit_closes_with_the_reason(
    sent: str, code: int, reason: str, caplog: pytest.LogCaptureFixture
) -> None:
    room = Room()
    async with serving(room) as server, connected(server) as peer, connected(server) as other:
        await peer.send(text(sent), text('{"type": "Join", "nick": "late"}'))
        got, said = await peer.receive_close()
        assert got == code
        assert reason in said
        await other.send(text('{"type": "Say", "text": "echo"}'))
        assert "echo" in await other.receive_text()
        await other.finish()
    assert Say("echo") in room.messages
    assert not [record for record in caplog.records if record.levelname == "ERROR"]


@given(st.text())
def test_no_text_makes_an_error_whose_reason_cannot_be_sent(message: str) -> None:
    for declared in (Join | Say, dict[str, int], dict[Literal["a"], int]):
        decoder = msgspec.json.Decoder(declared)
        for sent in (message, msgspec.json.encode({"type": message}), msgspec.json.encode({message: message})):
            try:
                decoder.decode(sent)
            except msgspec.DecodeError as error:
                str(error).encode()


class Patient(Room):
    """Tells the client the error, and keeps it."""

    async def invalid_message(self, client: Client[str], error: Exception) -> None:
        client.send_json({"fits": not isinstance(error, msgspec.ValidationError), "error": str(error)})


async def test_invalid_message_can_keep_the_client() -> None:
    room = Patient()
    async with serving(room) as server, connected(server) as peer:
        await peer.send(text("x"), text("{}"), text('{"type": "Say", "text": "echo"}'))
        first, second = [msgspec.json.decode(await peer.receive_text()) for _ in range(2)]
        assert first["fits"]
        assert not second["fits"]
        assert "echo" in await peer.receive_text()
        await peer.finish()
    assert room.messages == [Say("echo")]


async def test_an_error_in_received_json_is_that_of_a_hook(caplog: pytest.LogCaptureFixture) -> None:
    async with serving(Room()) as server, connected(server) as peer:
        await peer.send(text('{"type": "Say", "text": "raise"}'))
        assert await peer.receive_close() == (1011, "internal error")
    assert "received_text of Room failed" in caplog.text


async def test_a_resource_without_received_json_takes_no_text() -> None:
    class Teller(JSONResource):
        async def client_connected(self, client: Client) -> None:
            client.send_json("hello")

    async with serving(Teller()) as server, connected(server) as peer:
        assert await peer.receive_text() == '"hello"'
        await peer.send(text("{}"))
        assert (await peer.receive_close())[0] == 1003


class Counting(msgspec.Struct):
    number: int


async def test_broadcasts_are_encoded_once_and_go_to_whom_they_are_for(monkeypatch: pytest.MonkeyPatch) -> None:
    encoded: list[object] = []
    encode = msgspec.json.encode

    def noting(message: object) -> bytes:
        encoded.append(message)
        return encode(message)

    monkeypatch.setattr(msgspec.json, "encode", noting)
    room = Room()
    async with (
        serving(room) as server,
        connected(server) as first,
        connected(server) as second,
        connected(server) as third,
    ):
        while len(room.clients) < 3:
            await trio.lowlevel.checkpoint()
        by_port = {client.port: client for client in room.clients}
        ann, bob, cleo = [by_port[peer.port] for peer in (first, second, third)]
        assert room.broadcast_json(Counting(1)) == (3, 0)
        assert room.broadcast_json(Counting(2), exclude=bob) == (2, 0)
        assert room.broadcast_json(Counting(3), clients=[bob, cleo], exclude=[cleo]) == (1, 0)
        assert room.broadcast_json(Counting(4), clients=[]) == (0, 0)
        assert room.broadcast_json(Counting(5), key="k") == (3, 0)
        assert room.broadcast_json(Counting(6), key="k", compress=False) == (3, 0)
        assert ann.send_json(Counting(7), key="k", compress=True)
        ann.close(), bob.close(), cleo.close()
        assert not ann.send_json(Counting(8))
        for peer, numbers in ((first, [1, 2, 7]), (second, [1, 3, 6]), (third, [1, 2, 6])):
            got = [await peer.receive() for _ in numbers]
            assert got == [Frame(TEXT, b'{"number":%d}' % number) for number in numbers]
    assert encoded == [Counting(number) for number in range(1, 9)]


@pytest.mark.parametrize("message", [Unknown(), {1.5: object()}, "\ud800"])
async def test_what_cannot_be_encoded_is_said_to_who_sends(message: object) -> None:
    room = Room()
    with pytest.raises((TypeError, ValueError)):
        room.broadcast_json(message)


def test_without_msgspec_the_package_works_and_only_a_json_resource_says_what_it_needs() -> None:
    program = (
        "import sys; sys.modules['msgspec'] = None\n"
        "import wsframe, wsframe.resources.asyncapi\n"
        "class Fine(wsframe.Resource): pass\n"
        "registry = wsframe.Registry(); registry.register('/', Fine())\n"
        "assert wsframe.resources.asyncapi.document(registry, title='t', version='1')['channels']\n"
        "try:\n"
        "    class Chat(wsframe.JSONResource): pass\n"
        "except ImportError as error: print(error)\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=PATIENCE)
    assert done.stdout == "JSONResource needs msgspec: pip install 'wsframe[msgspec]'\n"


def test_json_resource_is_exported() -> None:
    assert wsframe.JSONResource is JSONResource


class Plain(wsframe.Resource):
    """Sends JSON without msgspec."""

    async def received_text(self, client: Client, message: str) -> None:
        client.send_json({"said": message, "n": [1, 1.5, None]})
        self.broadcast_json(["ü"], frame_size=1, exclude=[])
        self.broadcast_json("nobody", clients=[])


async def test_any_client_can_be_sent_json_and_any_resource_broadcasts_it() -> None:
    async with serving(Plain()) as server, connected(server) as peer:
        await peer.send(text("hi"))
        assert await peer.receive_text() == '{"said":"hi","n":[1,1.5,null]}'
        assert [await peer.receive() for _ in range(6)][-1] == Frame(0, b"]")
        await peer.finish()


@pytest.mark.parametrize("message", [object(), float("nan"), {(1, 2): 3}])
async def test_json_that_cannot_be_is_an_error_without_msgspec_too(message: object) -> None:
    with pytest.raises((TypeError, ValueError)):
        Plain().broadcast_json(message)


async def test_a_resource_can_encode_json_in_its_own_way() -> None:
    class Own(Plain):
        def encode_json(self, message: object) -> str:
            return "mine"

    async with serving(Own()) as server, connected(server) as peer:
        await peer.send(text("hi"))
        assert await peer.receive_text() == "mine"
        assert [await peer.receive() for _ in "mine"][-1] == Frame(0, b"e")
        await peer.finish()
    with pytest.raises(TypeError, match="must be a plain function: nothing can wait for it"):

        class Waits(Plain):
            async def encode_json(self, message: object) -> str:  # type: ignore[override]
                return "mine"
