"""The links between processes of one service: topics, their history, and leases.

* ``interface``: the methods of every backplane, and the values they take and return.
* ``hub_members``: the nodes of a hub, and the topics that each wants.
* ``hub``: the center of memory and relay: interest, history and leases, without input or output.
* ``queue``: the messages that wait for one member of a hub, bounded, with the holes it has.
* ``sequence``: the end of one topic as a node has it: which message is next, and which ones wait.
* ``presence``: the members of one topic on all nodes.
* ``memory``: a backplane between servers of one process.
* ``frames``: the messages between a worker and its relay, as bytes.
* ``stream``: one unix stream of these messages, read and written in whole batches.
* ``relay``: a backplane between processes of one machine, as a worker sees it.
* ``relay_worker``: one worker, as the relay sees it.
* ``relay_loop``: the loop over the streams of all workers, without an engine.
* ``relay_process``: the process beside the workers that runs the hub.
* ``boottime``: the clock by which a holder of leases stops.
* ``engine``: a server such as Redis, as the supervision sees it: it makes links, each one connection.
* ``envelope``: the messages between nodes on an engine, as bytes.
* ``numbering``: the numbers by which nodes see holes.
* ``publications``: the messages that wait to be published on an engine, bounded.
* ``engine_session``: one connection, from its first probe to the first one that does not come back.
* ``acquisition``: a request for leases, whose answer is never lost.
* ``supervised``: a backplane on an engine, one session after another.
* ``uplink``: a relay that links the workers of its machine to an engine.
* ``redis``: the backplane on Redis and Valkey.
* ``engine_url``: the URL of an engine, taken apart so that no password can be shown.
* ``redis_address``: where such a server is, from a URL.
* ``redis_connection``: the few functions that a client library has to offer.
* ``redis_glide``, ``redis_coredis``: these functions by valkey-glide and by coredis.
* ``redis_scripts``: the scripts that run in the server.
* ``redis_link``: requests as commands and scripts.
* ``postgres``: the backplane on PostgreSQL.
* ``libpq``: PostgreSQL's own client library, driven by trio.
* ``postgres_schema``: the tables and statements.
* ``node_leases``: the keys that a node owns: leases that are renewed together, and given up in time.
* ``contained``: a backplane of the program's own, which can raise.
* ``at_url``: the backplane that a URL names.
* ``postgres_link``: requests as statements, messages as notifications.

Read them in this order. Nothing in here knows WebSocket, clients or resources: topics have names,
messages are bytes.
"""

import typing

from wsframe.backplane.at_url import backplane_at as backplane_at
from wsframe.backplane.engine import BackplaneRefused as BackplaneRefused
from wsframe.backplane.interface import Backplane as Backplane
from wsframe.backplane.interface import History as History
from wsframe.backplane.interface import Kept as Kept
from wsframe.backplane.interface import Lease as Lease
from wsframe.backplane.interface import Position as Position
from wsframe.backplane.interface import Told as Told
from wsframe.backplane.memory import MemoryBackplane as MemoryBackplane
from wsframe.backplane.memory import MemoryHub as MemoryHub
from wsframe.backplane.relay import RelayBackplane as RelayBackplane

if typing.TYPE_CHECKING:
    from wsframe.backplane.postgres import PostgresBackplane as PostgresBackplane
    from wsframe.backplane.redis import RedisBackplane as RedisBackplane
else:
    _ENGINES = {"PostgresBackplane": "wsframe.backplane.postgres", "RedisBackplane": "wsframe.backplane.redis"}

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
