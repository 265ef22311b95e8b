"""Servers and proxies on loopback: ones that answer by script, an HTTP and a SOCKS5 proxy."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from functools import partial
from hashlib import sha1
from re import search

import trio

import wsframe

__all__ = [
    "Echo",
    "Handler",
    "HttpProxy",
    "Script",
    "SocksProxy",
    "answering",
    "head_of",
    "listening",
    "serving",
    "upgrading",
]

Script = Callable[[bytes], bytes]
Handler = Callable[[trio.SocketStream], Awaitable[None]]


class Echo(wsframe.Resource):
    """Sends every message back; ``bye`` closes with 4000."""

    subprotocols = ("chat", "superchat")
    limits = wsframe.Limits(max_message=2**24, max_outbox=2**25)

    async def received_text(self, client: wsframe.Client, message: str) -> None:
        if message == "bye":
            client.close(4000, "as you wish")
        elif message == "abort":
            client.abort()
        elif message.startswith("header "):
            client.send_text(client.request.headers.get(message.removeprefix("header "), "none"))
        else:
            client.send_text(message)

    async def received_binary(self, client: wsframe.Client, message: bytes) -> None:
        client.send_binary(message)


@asynccontextmanager
async def serving(**options: object) -> AsyncIterator[wsframe.Server]:
    """Serve :class:`Echo` at ``/echo``."""
    registry = wsframe.Registry()
    registry.register("/echo", Echo(), wsframe.any_origin)
    given = {"port": 0, "hosts": ["*"], **options}
    async with wsframe.open_server(registry, **given) as server:  # type: ignore[arg-type]
        yield server


@asynccontextmanager
async def listening(handler: Handler, host: str = "127.0.0.1") -> AsyncIterator[int]:
    """Listen on loopback; yield the port."""

    async def handle(stream: trio.SocketStream) -> None:
        async with stream:
            with suppress(trio.BrokenResourceError, trio.ClosedResourceError):  # the client may go at any time
                await handler(stream)

    async with trio.open_nursery() as nursery:
        (listener,) = await nursery.start(partial(trio.serve_tcp, handle, 0, host=host))
        yield listener.socket.getsockname()[1]
        nursery.cancel_scope.cancel()


async def head_of(stream: trio.abc.ReceiveStream) -> bytes:
    """Read the head of a request."""
    head = b""
    while b"\r\n\r\n" not in head:
        data = await stream.receive_some()
        if not data:
            raise trio.BrokenResourceError
        head += bytes(data)
    return head


def answering(script: Script, *, seen: list[bytes] | None = None) -> Handler:
    """Make a handler that answers the head by script, and reads on until the client goes."""

    async def handle(stream: trio.SocketStream) -> None:
        head = await head_of(stream)
        if seen is not None:
            seen.append(head)
        await stream.send_all(script(head))
        async for _ in stream:
            pass

    return handle


def accepting(head: bytes) -> str:
    """Return the right Sec-WebSocket-Accept for a request."""
    found = search(rb"(?i)sec-websocket-key: (\S+)", head)
    assert found is not None
    return b64encode(sha1(found[1] + b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11").digest()).decode()


def upgrading(*more: str, tail: bytes = b"") -> Script:
    """Make an answer that upgrades, with more lines, and bytes behind it."""

    def script(head: bytes) -> bytes:
        lines = [
            "HTTP/1.1 101 OK",
            "Upgrade: websocket",
            "Connection: Upgrade",
            f"Sec-WebSocket-Accept: {accepting(head)}",
        ]
        return "\r\n".join([*lines, *more, "", ""]).encode() + tail

    return script


async def pass_on(source: trio.abc.ReceiveStream, sink: trio.SocketStream) -> None:
    with suppress(trio.BrokenResourceError, trio.ClosedResourceError):
        async for data in source:
            await sink.send_all(data)
        await sink.send_eof()


async def relay(one: trio.SocketStream, host: str, port: int) -> None:
    """Pass bytes both ways until both sides have ended."""
    async with await trio.open_tcp_stream(host, port) as other, trio.open_nursery() as nursery:
        nursery.start_soon(pass_on, one, other)
        nursery.start_soon(pass_on, other, one)


class HttpProxy:
    """Opens tunnels by CONNECT, if given for clients with this ``authorization`` alone."""

    def __init__(self, authorization: str | None = None, *, names: dict[str, str] | None = None) -> None:
        self.authorization = authorization
        self.names = names or {}
        self.asked: list[str] = []

    async def __call__(self, stream: trio.SocketStream) -> None:
        head = (await head_of(stream)).decode()
        method, target, _ = head.split("\r\n")[0].split(" ")
        assert method == "CONNECT"
        assert f"\r\nHost: {target}\r\n" in head
        self.asked.append(target)
        if self.authorization and f"\r\nProxy-Authorization: {self.authorization}\r\n" not in head:
            await stream.send_all(b"HTTP/1.1 407 No\r\nProxy-Authenticate: Basic\r\nContent-Length: 0\r\n\r\n")
            return
        host, _, port = target.rpartition(":")
        await stream.send_all(b"HTTP/1.1 200 Connection established\r\n\r\n")
        await relay(stream, self.names.get(host, host), int(port))


class SocksProxy:
    """Opens tunnels by SOCKS5 (RFC 1928), with the reply code given; 0 succeeds."""

    def __init__(self, user: tuple[str, str] | None = None, *, reply: int = 0) -> None:
        self.user = user
        self.reply = reply
        self.asked: list[tuple[int, str, int]] = []

    async def __call__(self, stream: trio.SocketStream) -> None:
        async def read(count: int) -> bytes:
            data = b""
            while len(data) < count:
                more = await stream.receive_some(count - len(data))
                if not more:
                    raise trio.BrokenResourceError
                data += bytes(more)
            return data

        _, count = await read(2)
        methods = await read(count)
        method = 2 if self.user else 0
        await stream.send_all(bytes((5, method if method in methods else 0xFF)))
        if self.user:
            _, length = await read(2)
            name = await read(length)
            password = await read((await read(1))[0])
            good = (name.decode(), password.decode()) == self.user
            await stream.send_all(bytes((1, not good)))
            if not good:
                return
        _, _, _, kind = await read(4)
        size = {1: 4, 4: 16}.get(kind) or (await read(1))[0]
        address = await read(size)
        host = address.decode() if kind == 3 else ".".join(map(str, address))
        port = int.from_bytes(await read(2), "big")
        self.asked.append((kind, host, port))
        await stream.send_all(bytes((5, self.reply, 0, 1, 0, 0, 0, 0, 0, 0)))
        if not self.reply:
            await relay(stream, "127.0.0.1", port)
