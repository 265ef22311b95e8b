"""The links between processes of one service: topics, their history, and leases.

* ``interface``: the methods of every backplane, and the values they take and return.
* ``hub``: the center of memory and relay: interest, history and leases, without input or output.
* ``queue``: the messages that wait for one member of a hub, bounded, with the holes it has.
* ``memory``: a backplane between servers of one process.
* ``frames``: the messages between a worker and its relay, as bytes.
* ``stream``: one unix stream of these messages, read and written in whole batches.
* ``relay``: a backplane between processes of one machine, as a worker sees it.
* ``relay_process``: the process beside the workers that runs the hub.

Read them in this order. Nothing in here knows WebSocket, clients or resources: topics have names,
messages are bytes.
"""

from wsframe.backplane.interface import Backplane as Backplane
from wsframe.backplane.interface import History as History
from wsframe.backplane.interface import Kept as Kept
from wsframe.backplane.interface import Lease as Lease
from wsframe.backplane.interface import Position as Position
from wsframe.backplane.interface import Told as Told
from wsframe.backplane.memory import MemoryBackplane as MemoryBackplane
from wsframe.backplane.memory import MemoryHub as MemoryHub
from wsframe.backplane.relay import RelayBackplane as RelayBackplane

__all__ = [
    "Backplane",
    "History",
    "Kept",
    "Lease",
    "MemoryBackplane",
    "MemoryHub",
    "Position",
    "RelayBackplane",
    "Told",
]
