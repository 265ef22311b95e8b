"""Newcomers go to the machine of their resource, over connections between servers.

Read in this order:

* ``peers``: the names and keys of servers.
* ``splice``: a newcomer's bytes go to its owner and back; ``dialing`` asks the owner first.
* ``peer_port``: the owner's side.

Which server owns a resource is known in ``ownership``.
"""
