"""Rooms that are made when somebody asks for them."""

import wsframe
from wsframe import Client, Request, Resource, register_global_factory


class Room(Resource):
    def __init__(self, name: str) -> None:
        self.name = name

    async def client_connected(self, client: Client) -> None:
        client.send_json({"note": f"{len(self.clients)} in {self.name}"})

    async def received_text(self, client: Client, message: str) -> None:
        self.broadcast_json({"text": message})


def make_room(request: Request) -> Room | None:
    name = request.path_params["room"]
    return Room(name) if name.isalpha() else None


register_global_factory("/rooms/{room}", make_room)

if __name__ == "__main__":
    wsframe.run(port=8000)
