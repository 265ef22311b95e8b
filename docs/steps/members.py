"""Rooms for people who have logged in."""

import login

import wsframe
from wsframe import Accept, Client, Reject, Request, Resource, register_global_factory


class Room(Resource[str]):
    def __init__(self, name: str) -> None:
        self.name = name

    async def accept_client(self, request: Request) -> Accept | Reject:
        name = await login.name_of(request)
        return Reject(401, body="log in first") if name is None else Accept(data=name)

    async def client_connected(self, client: Client[str]) -> None:
        self.broadcast_json({"note": f"{client.data} came"})

    async def received_text(self, client: Client[str], message: str) -> None:
        self.broadcast_json({"from": client.data, "text": message})


def make_room(request: Request) -> Room | None:
    name = request.path_params["room"]
    return Room(name) if name.isalpha() else None


register_global_factory("/rooms/{room}", make_room)

if __name__ == "__main__":
    wsframe.run(port=8000)
