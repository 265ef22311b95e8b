"""Newcomers go to the machine of their resource, over connections between servers.

Read in this order:

* ``keys``: the names and keys of servers.
* ``splice``: a newcomer's bytes go to its owner and back; ``dialing`` asks the owner first.
* ``peer_port``: the owner's side.

How they meet: the server that accepts a newcomer reads its request head, finds the partition of the path, and asks
``ownership`` for the owner. If that is another server, it dials the owner's peer port and sends a sealed header with
the facts about the client. The owner answers with one byte, before any byte of the client: its own, not its own, or
busy. Only then the request goes there, and a pump (``net.pump``) carries the bytes in both directions from then on;
the owner sees a connection like any other. An owner that has lost the partition in the meantime ends without an
answer, and the same request goes to the present owner.

``peering``, beside this room, joins these parts. Nothing in here decides which server owns a resource: ``ownership``
does.
"""
