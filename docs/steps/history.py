"""Rooms with a login and a history."""

import login
import trio

import wsframe
from wsframe import Accept, Client, Limits, Reject, Request, Resource, register_global_factory


class Room(Resource[str]):
    limits = Limits(max_message=4096, max_message_rate=10)

    def __init__(self, name: str) -> None:
        self.name = name

    async def accept_client(self, request: Request) -> Accept | Reject:
        name = await login.name_of(request)
        return Reject(401, body="log in first") if name is None else Accept(data=name)

    async def client_connected(self, client: Client[str]) -> None:
        lines = await trio.to_thread.run_sync(login.store.last_lines, self.name, 50, limiter=login.one_at_a_time)
        client.send_json({"history": lines})
        self.broadcast_json({"note": f"{client.data} came"})

    async def received_text(self, client: Client[str], message: str) -> None:
        await trio.to_thread.run_sync(
            login.store.add_line, self.name, client.data, message, limiter=login.one_at_a_time
        )
        self.broadcast_json({"from": client.data, "text": message})

    async def disconnected(self, client: Client[str]) -> None:
        self.broadcast_json({"note": f"{client.data} left"})


def make_room(request: Request) -> Room | None:
    name = request.path_params["room"]
    return Room(name) if name.isalpha() else None


register_global_factory("/rooms/{room}", make_room)

if __name__ == "__main__":
    wsframe.run(port=8000)
