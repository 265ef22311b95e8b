"""A bridge from WebSocket to a TCP service, as noVNC and terminals in a page need it.

Run it with ``python examples/bridge.py HOST:PORT --npm FOLDER`` and open the address it prints: the page is noVNC, from
a ``node_modules`` folder with ``@novnc/novnc``. Without ``--npm`` only the bridge is served, at ``/tcp``.

Bytes wait on neither side without bound: while the service does not take them, the hook waits, and the server reads
no more from that page; while the page does not take them, the bridge reads no more from the service.
"""

import argparse
from pathlib import Path

import trio

import wsframe
from wsframe import Client, Registry, Resource, Server, static_file, static_folder

PART = 64 * 1024
HERE = Path(__file__).parent


class Bridge(Resource[trio.abc.Stream | None]):
    """Each client has a connection to the service: ``client.data``, None until there is one."""

    subprotocols = ("binary",)  # older noVNC asks for it
    ordering = "client"  # a service that is slow for one client does not delay the others

    def __init__(self, host: str, port: int) -> None:
        self.host, self.port = host, port

    async def client_connected(self, client: Client[trio.abc.Stream | None]) -> None:
        try:
            with trio.fail_after(10):
                client.data = await trio.open_tcp_stream(self.host, self.port)
        except (OSError, trio.TooSlowError):
            client.close(1014, "the service does not answer")
        else:
            client.start_soon(self.forward, client, client.data)

    async def received_binary(self, client: Client[trio.abc.Stream | None], message: bytes) -> None:
        if client.data is None:
            return  # it is being closed
        try:
            await client.data.send_all(message)
        except trio.BrokenResourceError:
            client.close(1014, "the service has gone")

    async def forward(self, client: Client[trio.abc.Stream | None], service: trio.abc.Stream) -> None:
        try:
            while part := await service.receive_some(PART):
                client.send_binary(part)
                if not await client.drained():
                    return
        except trio.BrokenResourceError:
            client.close(1014, "the service has gone")
        else:
            client.close(1000, "the service has ended")

    async def disconnected(self, client: Client[trio.abc.Stream | None]) -> None:
        if client.data is not None:
            await client.data.aclose()


def made_registry(host: str, port: int, npm: Path | None) -> Registry:
    registry = Registry(alone=True)
    registry.register("/tcp", Bridge(host, port))
    if npm is not None:
        registry.route("/", static_file(HERE / "bridge.html"))
        registry.route("/npm/*", static_folder(npm))
    return registry


def announce(server: Server) -> None:
    print(f"Bridge at http{server.addresses[0].removeprefix('ws')}/", flush=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Let pages talk to a TCP service.")
    parser.add_argument("service", metavar="HOST:PORT", help="the service, such as localhost:5900")
    parser.add_argument("--port", type=int, default=8000, help="0 for a free one (default 8000)")
    parser.add_argument("--npm", type=Path, help="node_modules with @novnc/novnc, for the page")
    arguments = parser.parse_args()
    host, _, port = arguments.service.rpartition(":")
    wsframe.run(made_registry(host, int(port), arguments.npm), port=arguments.port, started=announce)
