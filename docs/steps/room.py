"""Step 2: everybody hears everybody."""

import wsframe
from wsframe import Client, Resource, register_global_resource


class Room(Resource):
    async def received_text(self, client: Client, message: str) -> None:
        self.broadcast_text(message)


register_global_resource("/chat", Room())

if __name__ == "__main__":
    wsframe.run(port=8000)
