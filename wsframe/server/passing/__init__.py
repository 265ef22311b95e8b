"""Newcomers go to the worker of their resource.

Read in this order:

* ``destination`` says which worker that is.
* ``passage``: their sockets go there, unread; ``taking``: the worker there takes them.
* ``forwarding``: newcomers with TLS, which this worker decrypts; ``carried``: their connections from then on.

How they meet: each worker accepts from the same listening sockets, so that a newcomer arrives in any of them. The
worker peeks at the request head without reading it. If the path belongs to another worker, the descriptor of the
socket goes through that worker's door (``workers.door``), and this worker has nothing more to do with it. A door that
is full never blocks: the newcomer is parked until there is room or its handshake is due.

With TLS the bytes are read already, and the state of OpenSSL cannot be passed on. This worker keeps such a connection,
decrypts, and gives the other one end of a pair of unix sockets in the place of the client's.

``peers`` takes newcomers to other machines; ``carried`` has the pumps of those as well. Nothing in here opens a
connection.
"""
