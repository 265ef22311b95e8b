"""Centrifugo's client protocol, in JSON and version 2, for the SDKs that exist.

* ``resource``: the class that users subclass; its hooks. ``answers``: the answers of the hooks, and options.
* ``errors``: the codes of the protocol, and the exceptions with which hooks refuse.
* ``tokens``: a verifier of JSON Web Tokens.
* ``commands``, ``replies``: the text of messages, without input or output.
* ``subscription``: the states of one subscription, as a table. ``session``: the state of one client, and of all.
* ``hooks``: a resource, as the other modules see it.
* ``command_handler``: each command calls its hook and makes its reply. ``channels``: the beginning and the end of
  subscriptions. ``feed``: the messages in between, and those before. ``presence``: the members.
* ``deadline_queue``, ``deadlines``: pings, and the ends of connections and subscriptions that expire.

Read them in this order. The protocol is defined by ``client.proto`` of ``centrifugal/protocol`` and
by the SDKs; messages in protobuf, deltas, filters by tags, maps and transports other than WebSocket are not served.
"""

from wsframe.centrifuge.answers import CentrifugeOptions as CentrifugeOptions
from wsframe.centrifuge.answers import Connected as Connected
from wsframe.centrifuge.answers import Published as Published
from wsframe.centrifuge.answers import Subscribed as Subscribed
from wsframe.centrifuge.answers import Tokens as Tokens
from wsframe.centrifuge.errors import CentrifugeDisconnect as CentrifugeDisconnect
from wsframe.centrifuge.errors import CentrifugeError as CentrifugeError
from wsframe.centrifuge.resource import CentrifugeResource as CentrifugeResource
from wsframe.centrifuge.resource import Connection as Connection
from wsframe.centrifuge.tokens import JWTTokens as JWTTokens

__all__ = [
    "CentrifugeDisconnect",
    "CentrifugeError",
    "CentrifugeOptions",
    "CentrifugeResource",
    "Connected",
    "Connection",
    "JWTTokens",
    "Published",
    "Subscribed",
    "Tokens",
]
