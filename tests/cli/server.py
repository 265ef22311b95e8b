"""A server for the commands that connect to one, in a thread of its own."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from queue import Queue

import trio

import wsframe
from wsframe import Client, Deflate, Registry, Reject, Request, Resource

__all__ = ["serving_in_thread"]


class Echo(Resource):
    """Sends back; obeys ``close CODE``, ``twice``, ``abort`` and ``header NAME``."""

    subprotocols = ("b", "a")
    deflate = Deflate.shared()

    async def received_text(self, client: Client, message: str) -> None:
        command, _, argument = message.partition(" ")
        if command == "close":
            client.close(int(argument), "as told")
        elif command == "abort":
            client.abort()
        elif command == "header":
            client.send_text(client.request.headers.get(argument, ""))
        else:
            client.send_text(message)
            if command == "twice":
                client.send_text(message)

    async def received_binary(self, client: Client, message: bytes) -> None:
        client.send_binary(message)


class Late(Resource):
    """Speaks only after a while, and then closes."""

    async def client_connected(self, client: Client) -> None:
        self.start_soon(self.speak, client)

    async def speak(self, client: Client) -> None:
        await trio.sleep(0.3)
        client.send_text("at last \x1b[31m")
        client.close()


class Rude(Resource):
    """Would have the terminal obey."""

    async def client_connected(self, client: Client) -> None:
        client.send_text("\x1b[31m text")
        client.send_binary(b"\x1b]0;bytes\x07\xff")
        client.close()


class Mute(Resource):
    """Says nothing."""

    async def received_text(self, client: Client, message: str) -> None:
        pass


class Closed(Resource):
    """Lets nobody in."""

    async def accept_client(self, request: Request) -> Reject:
        return Reject(403, body="members\n only\x1b")


@contextmanager
def serving_in_thread() -> Iterator[str]:
    """Serve in a thread, because the commands run trio themselves; yield the address."""
    registry = Registry()
    for path, resource in (
        ("/", Echo()),
        ("/late", Late()),
        ("/mute", Mute()),
        ("/rude", Rude()),
        ("/closed", Closed()),
    ):
        registry.register(path, resource)
    servers: Queue[tuple[wsframe.Server, trio.lowlevel.TrioToken]] = Queue()

    async def serve() -> None:
        async with wsframe.open_server(registry, port=0) as server:
            servers.put((server, trio.lowlevel.current_trio_token()))
            await server.closed()

    thread = threading.Thread(target=trio.run, args=(serve,))
    thread.start()
    server, token = servers.get(timeout=120)
    try:
        yield server.addresses[0]
    finally:
        token.run_sync_soon(server.close)
        thread.join()
