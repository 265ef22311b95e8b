"""Step 1: a resource that answers."""

import wsframe
from wsframe import Client, Resource, register_global_resource


class Room(Resource):
    async def client_connected(self, client: Client) -> None:
        client.send_text("welcome")

    async def received_text(self, client: Client, message: str) -> None:
        client.send_text(f"you said: {message}")


register_global_resource("/chat", Room())

if __name__ == "__main__":
    wsframe.run(port=8000)
