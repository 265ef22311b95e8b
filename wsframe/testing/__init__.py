"""Test resources: clients and a server in one process, without a network and without waiting.

* ``kit``: the production server over in-memory connections, and its clients.
* ``client``, ``raw_client``: a WebSocket client, and the raw connection below it; slow, stalled or rude on demand.
* ``frames``, ``handshake``: the client's half of the protocol, without I/O.
* ``memory_sockets``: sockets without a kernel, and a poller for them.
* ``cluster``, ``simulated_network``, ``simulated_peers``: several servers, the relay between them and the connections
  that they carry to one another, with faults that a seed decides.
* ``backplanes``: the tests that every backplane passes.
* ``fixtures``: the fixtures of the pytest plugin.
"""

from wsframe.testing.client import ClientClosed as ClientClosed
from wsframe.testing.client import Closed as Closed
from wsframe.testing.client import MemoryClient as MemoryClient
from wsframe.testing.cluster import Cluster as Cluster
from wsframe.testing.cluster import Node as Node
from wsframe.testing.cluster import open_cluster as open_cluster
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
    "Cluster",
    "Frame",
    "Kit",
    "Line",
    "MemoryClient",
    "Node",
    "OpenOptions",
    "Refused",
    "ServerFactory",
    "open_client",
    "open_cluster",
    "open_kit",
]
