"""The echo server that the Autobahn suite is run against."""

import wsframe

__all__ = ["DEFLATES", "Echo", "registry"]

LARGEST = 16 * 1024 * 1024

DEFLATES = {
    "none": None,
    "shared": wsframe.Deflate.shared(threshold=0),
    "dedicated": wsframe.Deflate.dedicated(threshold=0),
}


class Echo(wsframe.Resource):
    """Sends every message back, with room for the largest and most fragmented of the suite's."""

    limits = wsframe.Limits(max_message=LARGEST, max_fragments=100_000, max_outbox=2 * LARGEST)

    async def received_text(self, client: wsframe.Client, message: str) -> None:
        client.send_text(message)

    async def received_binary(self, client: wsframe.Client, message: bytes) -> None:
        client.send_binary(message)


def registry() -> wsframe.Registry:
    """Return a registry whose path ``/echo`` is such a resource."""
    made = wsframe.Registry()
    made.register("/echo", Echo(), wsframe.any_origin)
    return made
