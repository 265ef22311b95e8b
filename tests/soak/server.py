"""The server of a soak: an echo, a room, and a resource that tells of the server itself."""

import json

import trio

import wsframe

__all__ = ["READY"]

READY = "serving "

running: list[wsframe.Server] = []


class Echo(wsframe.Resource):
    async def received_text(self, client: wsframe.Client, message: str) -> None:
        client.send_text(message)

    async def received_binary(self, client: wsframe.Client, message: bytes) -> None:
        client.send_binary(message)


class Deflated(Echo):
    deflate = wsframe.Deflate.dedicated()


class Room(wsframe.Resource):
    overflow = "drop_oldest"

    async def received_text(self, client: wsframe.Client, message: str) -> None:
        self.broadcast_text(message)


class Statistics(wsframe.Resource):
    async def received_text(self, client: wsframe.Client, message: str) -> None:
        now = running[0].statistics()
        tasks = trio.lowlevel.current_statistics().tasks_living
        client.send_text(json.dumps({"tasks": tasks, "clients": now.clients, "admitted": now.admitted}))


def started(server: wsframe.Server) -> None:
    running.append(server)
    print(f"{READY}{server.addresses[0]}", flush=True)


def main() -> None:
    registry = wsframe.Registry()
    for path, resource in (("/echo", Echo()), ("/deflated", Deflated()), ("/room", Room()), ("/stats", Statistics())):
        registry.register(path, resource, wsframe.any_origin)
    timeouts = wsframe.Timeouts(handshake=5, ping_interval=5, ping_timeout=10, close=3)
    wsframe.run(registry, port=0, started=started, timeouts=timeouts)


if __name__ == "__main__":
    main()
