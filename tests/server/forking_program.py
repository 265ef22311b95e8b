"""A program that forks while a client is connected, for the tests of that: it prints how the client learns of its end.

Its argument is the server's next action. The child lives until standard input ends, which is later than the program
does.
"""

from __future__ import annotations

import os
import socket
import sys

import trio

import wsframe
from tests.wire import upgrade
from wsframe import Client, Request, Response, Timeouts

GET = b"GET / HTTP/1.1\r\nHost: localhost\r\n"
PATIENCE = 60


class Room(wsframe.Resource):
    """Notes that the client has come."""

    def __init__(self) -> None:
        self.arrived = trio.Event()

    async def client_connected(self, client: Client) -> None:
        self.arrived.set()


async def page(request: Request) -> Response:
    return Response("here you are")


def dial(port: int) -> socket.socket:
    return socket.create_connection(("127.0.0.1", port), timeout=PATIENCE)


def end_of(sock: socket.socket) -> str:
    """Read until the connection ends; tell how."""
    try:
        while sock.recv(65536):
            pass
    except ConnectionResetError:
        return "reset"
    return "eof"


def fork() -> None:
    if not os.fork():
        os.read(0, 1)
        os._exit(0)


async def main(what: str) -> None:
    room, registry = Room(), wsframe.Registry(alone=True)
    registry.register("/", room, wsframe.any_origin)
    in_thread = trio.to_thread.run_sync
    timeouts = Timeouts(close=1, ping_interval=None)
    async with wsframe.open_server(registry, port=0, http_handler=page, timeouts=timeouts) as server:
        port = int(server.addresses[0].rpartition(":")[2])
        peer = await in_thread(dial, port)
        if what == "page":
            await in_thread(peer.sendall, GET)
        else:
            await in_thread(peer.sendall, upgrade())
            await room.arrived.wait()
        fork()
        if what == "page":
            await in_thread(peer.sendall, b"\r\n")
        else:
            (client,) = room.clients
            if what == "abort":
                client.send_binary(bytes(100_000))
                client.abort()
            else:
                client.close()
        print(await in_thread(end_of, peer), flush=True)
    async with wsframe.open_server(registry, port=port):
        print("bound again", flush=True)


if __name__ == "__main__":
    trio.run(main, sys.argv[1])
