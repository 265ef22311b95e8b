"""Messages of types that say something else of themselves than they are: the frames stay whole."""

from __future__ import annotations

from typing import Any

import pytest

import wsframe
from tests.client_side import Sending, offered
from tests.wire import serving, until
from wsframe import Deflate
from wsframe.protocol.close import close_frame
from wsframe.protocol.frames import data_frames


class Packet(bytes):
    """Says the length of its body, without a header of four."""

    def __len__(self) -> int:
        return bytes.__len__(self) - 4

    def __bytes__(self) -> bytes:
        return b"something else"

    def __getitem__(self, at: Any) -> Any:
        return b"x"

    def __iter__(self) -> Any:
        return iter(())

    def __add__(self, other: Any) -> bytes:
        return b"sum"

    def __radd__(self, other: Any) -> bytes:
        return b"sum"

    def __buffer__(self, flags: int) -> memoryview:
        return memoryview(b"short")


class Growing(bytearray):
    """The same of a bytearray."""

    def __len__(self) -> int:
        return 1

    def __bytes__(self) -> bytes:
        return Packet(b"packet")

    def __buffer__(self, flags: int) -> memoryview:
        return memoryview(b"short")


class Tagged(str):
    """Encodes itself otherwise, and not to bytes at all."""

    def encode(self, *args: Any, **named: Any) -> Any:
        return 17

    def __len__(self) -> int:
        return 0

    def __str__(self) -> str:
        return "something else"


class Size(int):
    """A frame size that adds up to something else."""

    def __radd__(self, other: int) -> int:
        return 0

    def __add__(self, other: int) -> int:
        return 0

    def to_bytes(self, *args: Any, **named: Any) -> bytes:
        return b""


MESSAGES: list[tuple[Any, bytes]] = [
    (Packet(b"HEADbody"), b"HEADbody"),
    (Packet(b""), b""),
    (Packet(b"HEAD" + b"b" * 70_000), b"HEAD" + b"b" * 70_000),
    (Growing(b"HEADbody"), b"HEADbody"),
    (Growing(b"b" * 70_000), b"b" * 70_000),
    (memoryview(b"HEADbody")[::2], b"HAbd"),
]
TEXTS: list[tuple[Any, bytes]] = [(Tagged("grüß"), "grüß".encode()), (Tagged("x" * 70_000), b"x" * 70_000), *MESSAGES]


@pytest.mark.parametrize("how", ["plain", "fragments", "key", "compressed"])
@pytest.mark.parametrize(("message", "wanted"), TEXTS, ids=lambda one: type(one).__name__)
async def test_a_server_sends_what_the_object_holds(how: str, message: Any, wanted: bytes) -> None:
    options = Deflate.shared(threshold=1)
    sending = Sending(**offered(options)) if how == "compressed" else Sending()
    options_of: dict[str, dict[str, Any]] = {"fragments": {"frame_size": Size(300)}, "key": {"key": 1}}
    more = options_of.get(how, {})
    sends: list[Any] = [sending.client.send_text]
    if not isinstance(message, str):
        sends.append(sending.client.send_binary)
    for send in sends:
        assert send(message, **more)
        sending.outbox.flush()
    assert sending.client.send(message)
    assert wsframe.broadcast_text([sending.client], message, **more) == (1, 0)
    while sending.outbox.items:
        sending.take()
    assert sending.messages() == [wanted] * (len(sends) + 2)


@pytest.mark.parametrize(("message", "wanted"), TEXTS, ids=lambda one: type(one).__name__)
async def test_a_client_sends_what_the_object_holds(message: Any, wanted: bytes) -> None:
    got: list[bytes] = []

    class Taking(wsframe.Resource):
        async def received_text(self, client: wsframe.Client, message: str) -> None:
            got.append(message.encode())

        async def received_binary(self, client: wsframe.Client, message: bytes) -> None:
            got.append(message)

    async with serving(Taking()) as server, wsframe.connect(server.addresses[0]) as ws:
        await ws.send(message)
        await ws.send_text(message)
        await ws.send_text(message, frame_size=Size(1000))
        await ws.ping(Packet(b"HEADping"))
        await until(lambda: len(got) == 3)
    assert got == [wanted] * 3


def test_a_close_frame_holds_the_code_and_the_reason() -> None:
    assert close_frame(Size(1000), Tagged("bye")) == b"\x88\x05\x03\xe8bye"


def test_frames_are_as_long_as_was_asked_for() -> None:
    assert [len(frame) - 2 for frame in data_frames(1, b"1234567", Size(3))] == [3, 3, 1]
