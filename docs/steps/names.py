"""Step 3: names, joins and leaves."""

from itertools import count

import wsframe
from wsframe import Client, Resource, register_global_resource


class Room(Resource[str]):
    def __init__(self) -> None:
        self.numbers = count(1)

    async def client_connected(self, client: Client[str]) -> None:
        client.data = f"user-{next(self.numbers)}"
        self.broadcast_text(f"{client.data} joined")

    async def received_text(self, client: Client[str], message: str) -> None:
        if message.startswith("/nick "):
            self.rename(client, message.removeprefix("/nick ").strip())
        else:
            self.broadcast_text(f"{client.data}: {message}")

    async def disconnected(self, client: Client[str]) -> None:
        self.broadcast_text(f"{client.data} left")

    def rename(self, client: Client[str], nickname: str) -> None:
        if not nickname or any(other.data == nickname for other in self.clients):
            client.send_text(f"you cannot be called {nickname!r}")
            return
        self.broadcast_text(f"{client.data} is now {nickname}")
        client.data = nickname


register_global_resource("/chat", Room())

if __name__ == "__main__":
    wsframe.run(port=8000)
