"""Testing resources: clients and a server in one process, with no network and no waiting.

* ``kit``: a server of production over connections in memory, and what connects to it.
* ``client``, ``line``: a WebSocket client, and the octets below it; slow, stalled and rude if told so.
* ``frames``, ``opening``: a client's half of the protocol, with no I/O.
* ``memory``: sockets without a kernel, and a poller for them.
* ``fixtures``: what the pytest plugin gives to tests.
"""

from wsframe.testing.client import ClientClosed as ClientClosed
from wsframe.testing.client import Closed as Closed
from wsframe.testing.client import MemoryClient as MemoryClient
from wsframe.testing.fixtures import ClientFactory as ClientFactory
from wsframe.testing.fixtures import ServerFactory as ServerFactory
from wsframe.testing.frames import Frame as Frame
from wsframe.testing.handshake import Answer as Answer
from wsframe.testing.handshake import Refused as Refused
from wsframe.testing.kit import ClientOptions as ClientOptions
from wsframe.testing.kit import Kit as Kit
from wsframe.testing.kit import OpenOptions as OpenOptions
from wsframe.testing.kit import open_client as open_client
from wsframe.testing.kit import open_kit as open_kit
from wsframe.testing.raw_client import Line as Line

__all__ = [
    "Answer",
    "ClientClosed",
    "ClientFactory",
    "ClientOptions",
    "Closed",
    "Frame",
    "Kit",
    "Line",
    "MemoryClient",
    "OpenOptions",
    "Refused",
    "ServerFactory",
    "open_client",
    "open_kit",
]
