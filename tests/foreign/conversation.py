"""The conversations of wsframe and a foreign peer, whichever of them is the server."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeAlias

import trio

import wsframe

__all__ = ["CODES", "LIMITS", "OURS", "THEIRS", "Ending", "OurWebSocket", "Served", "converse"]

Message: TypeAlias = str | bytes

LIMITS = wsframe.Limits(max_message=2**22, max_queued_bytes=2**23, max_outbox=2**23)

OURS = (4001, "as you wish 👋")
THEIRS = (4002, "later 👋")

CODES = (1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 1014, 3000, 4001, 4999)
"""Every code that may be sent."""

NOISE = bytes(number * number * 37 % 251 for number in range(2**16 + 1)) * 17

ECHOED: Sequence[Message] = (
    "text",
    "",
    "héllo \N{PILE OF POO} \x00 \u2028 漢字 end",
    *(NOISE[:length] for length in (0, 1, 125, 126, 2**16 - 1, 2**16, 2**20)),
    *("x" * length for length in (125, 126, 2**16 - 1, 2**16, 2**20)),
    # Messages that are compressed with the earlier ones in view, the empty one between them too.
    *(f"the quick brown fox {number} " * 400 for number in range(3)),
    "",
    "the quick brown fox 2 " * 400,
    b"",
    b"the quick brown fox 2 " * 400,
)


class Line(Protocol):
    """One connection, from the side of wsframe."""

    async def send(self, message: Message, frame_size: int | None = None) -> None: ...
    async def receive(self) -> Message: ...
    async def ping(self, payload: bytes) -> None: ...


async def converse(line: Line, says: Mapping[str, str]) -> None:
    """Try everything but the end; an ``AssertionError`` names the step.

    Args:
        line: The connection.
        says: The answers to commands that the peer cannot carry out as asked.
    """
    for message in ECHOED:
        await line.send(message)
        await expect(line, message, f"echo of {message[:20]!r}, {len(message)} long")
    for message in ("😀abcé" * 30, NOISE[:3000]):
        await line.send(message, 100)
        await expect(line, message, "echo of fragments")
    for payload in (b"abc", b"", b"x" * 125):
        await line.ping(payload)
    for command, answer in (("ping", "pong there?"), ("fragments", "in three parts")):
        await line.send(f"!{command}")
        await expect(line, says.get(command, answer), command)


async def expect(line: Line, wanted: Message, step: str) -> None:
    came = await line.receive()
    if came != wanted:
        raise AssertionError(f"{step}: came {came[:60]!r}, {len(came)} long")


@dataclass
class Ending:
    """The end of a connection to our server."""

    path: str
    extensions: tuple[str, ...]
    code: int | None
    reason: str
    cleanly: bool
    error: BaseException | None


class OurClient:
    """A client of our server, as a line."""

    def __init__(self, client: wsframe.Client) -> None:
        self.client = client
        self.error: BaseException | None = None
        self.put, self._messages = trio.open_memory_channel[Message](100)
        self.put_pong, self._pongs = trio.open_memory_channel[bytes](100)

    async def send(self, message: Message, frame_size: int | None = None) -> None:
        if isinstance(message, str):
            assert self.client.send_text(message, frame_size=frame_size)
        else:
            assert self.client.send_binary(message, frame_size=frame_size)

    async def receive(self) -> Message:
        return await self._messages.receive()

    async def ping(self, payload: bytes) -> None:
        assert self.client.ping(payload)
        assert await self._pongs.receive() == payload


class OurWebSocket:
    """A connection of our client, as a line."""

    def __init__(self, ws: wsframe.WebSocket) -> None:
        self.ws = ws

    async def send(self, message: Message, frame_size: int | None = None) -> None:
        if isinstance(message, str):
            await self.ws.send_text(message, frame_size=frame_size)
        else:
            await self.ws.send_binary(message, frame_size=frame_size)

    async def receive(self) -> Message:
        return await self.ws.receive()

    async def ping(self, payload: bytes) -> None:
        await self.ws.ping(payload)


class Served(wsframe.Resource):
    """Has the whole conversation with each client and has it close; or, with ``code``, closes at once."""

    limits = LIMITS
    ordering = "client"

    def __init__(
        self, says: Mapping[str, str], deflate: wsframe.Deflate | None = None, *, code: int | None = None
    ) -> None:
        self.says = says
        self.deflate = deflate  # type: ignore[misc]  # read when the listener starts
        self.code = code
        self.lines: dict[wsframe.Client, OurClient] = {}
        self.ended: list[Ending] = []

    async def client_connected(self, client: wsframe.Client) -> None:
        self.lines[client] = OurClient(client)
        if self.code is not None:
            client.close(self.code, OURS[1])
        else:
            client.start_soon(self.drive, self.lines[client])

    async def drive(self, line: OurClient) -> None:
        try:
            await converse(line, self.says)
            await line.send(f"!close {THEIRS[0]} {THEIRS[1]}")
        except Exception as error:
            line.error = error
            line.client.close(4500, "this went wrong")

    async def received_text(self, client: wsframe.Client, message: str) -> None:
        self.lines[client].put.send_nowait(message)

    async def received_binary(self, client: wsframe.Client, message: bytes) -> None:
        self.lines[client].put.send_nowait(message)

    async def received_pong(self, client: wsframe.Client, payload: bytes) -> None:
        self.lines[client].put_pong.send_nowait(payload)

    async def disconnected(self, client: wsframe.Client) -> None:
        error = self.lines.pop(client).error
        self.ended.append(
            Ending(client.path, client.extensions, client.close_code, client.close_reason, client.closed_cleanly, error)
        )
