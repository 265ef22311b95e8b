"""The links between processes of one service: topics, their history, and leases.

* ``interface``: the methods of every backplane, and the values they take and return.
* ``hub_members``: the nodes of a hub, and the topics that each wants.
* ``hub``: the center of memory and relay: interest, history and leases, without input or output.
* ``queue``: the messages that wait for one member of a hub, bounded, with the holes it has.
* ``sequence``: the end of one topic as a node has it: which message is next, and which ones wait.
* ``presence``: the members of one topic on all nodes.
* ``memory``: a backplane between servers of one process.
* ``relay``, a room: a backplane between processes of one machine.
* ``relay_process``: the process beside the workers that runs the hub.
* ``boottime``: the clock by which a holder of leases stops.
* ``node_leases``: the keys that a node owns: leases that are renewed together, and given up in time.
* ``engines``, a room: the supervision of a server such as Redis, whichever it is.
* ``redis``, ``postgres``, two rooms: the backplanes on Redis, Valkey and PostgreSQL.
* ``contained``: a backplane of the program's own, which can raise.
* ``at_url``: the backplane that a URL names.

Read them in this order. Nothing in here knows WebSocket, clients or resources: topics have names,
messages are bytes.
"""

import typing

from wsframe.backplane.at_url import backplane_at as backplane_at
from wsframe.backplane.engines.engine import BackplaneRefused as BackplaneRefused
from wsframe.backplane.interface import Backplane as Backplane
from wsframe.backplane.interface import History as History
from wsframe.backplane.interface import Kept as Kept
from wsframe.backplane.interface import Lease as Lease
from wsframe.backplane.interface import Position as Position
from wsframe.backplane.interface import Told as Told
from wsframe.backplane.memory import MemoryBackplane as MemoryBackplane
from wsframe.backplane.memory import MemoryHub as MemoryHub
from wsframe.backplane.relay.backplane import RelayBackplane as RelayBackplane

if typing.TYPE_CHECKING:
    from wsframe.backplane.postgres.backplane import PostgresBackplane as PostgresBackplane
    from wsframe.backplane.redis.backplane import RedisBackplane as RedisBackplane
else:
    _ENGINES = {
        "PostgresBackplane": "wsframe.backplane.postgres.backplane",
        "RedisBackplane": "wsframe.backplane.redis.backplane",
    }

    def __getattr__(name: str) -> object:
        """Import an engine when it is asked for: most servers have one or none."""
        if name not in _ENGINES:
            raise AttributeError(f"module 'wsframe.backplane' has no attribute {name!r}")
        from importlib import import_module

        value = globals()[name] = getattr(import_module(_ENGINES[name]), name)
        return value


__all__ = [
    "Backplane",
    "BackplaneRefused",
    "History",
    "Kept",
    "Lease",
    "MemoryBackplane",
    "MemoryHub",
    "Position",
    "PostgresBackplane",
    "RedisBackplane",
    "RelayBackplane",
    "Told",
    "backplane_at",
]
