"""wsframe: one resource for echo, one for broadcast."""

from __future__ import annotations

import logging
from dataclasses import replace

import trio

import wsframe
from benchmarks.servers.terms import BACKLOG, HOST, MAX_CLIENTS, MAX_MESSAGE, read_terms


class Echo(wsframe.Resource):
    async def received_text(self, client: wsframe.Client, message: str) -> None:
        client.send_text(message)

    async def received_binary(self, client: wsframe.Client, message: bytes) -> None:
        client.send_binary(message)


class ByClient(Echo):
    ordering = "client"


class Waiting(wsframe.Resource):
    async def received_text(self, client: wsframe.Client, message: str) -> None:
        await trio.lowlevel.checkpoint()
        client.send_text(message)


class Everybody(wsframe.Resource):
    async def received_text(self, client: wsframe.Client, message: str) -> None:
        self.broadcast_text(message)

    async def received_binary(self, client: wsframe.Client, message: bytes) -> None:
        self.broadcast_binary(message)


def main() -> None:
    terms = read_terms()
    logging.basicConfig(level=logging.WARNING)  # no line for each connection, as the other servers write none
    registry = wsframe.Registry()
    registry.register("/echo", Echo())
    registry.register("/broadcast", Everybody())
    registry.register("/by-client", ByClient())
    registry.register("/waiting", Waiting())
    options = wsframe.ServeOptions(
        host=HOST,
        port=terms.port,
        ssl_context=terms.ssl_context(),
        capacity=wsframe.Capacity(max_clients=MAX_CLIENTS, backlog=BACKLOG),
        limits=wsframe.Limits(max_message=MAX_MESSAGE, max_outbox=MAX_MESSAGE),
        timeouts=wsframe.Timeouts(ping_interval=None),
        deflate=wsframe.Deflate.shared() if terms.deflate else None,
    )
    if terms.metrics_port is not None:  # a wsframe of the past that is measured may not have the option
        options = replace(options, metrics_port=terms.metrics_port)
    wsframe.run(registry, options=options)


if __name__ == "__main__":
    main()
