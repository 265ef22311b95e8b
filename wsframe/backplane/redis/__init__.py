"""The backplane on Redis and Valkey.

Read in this order:

* ``backplane``: the class that users make, from a URL; ``address``: where such a server is.
* ``connection``: the few functions that a client library has to offer; ``glide``, ``coredis``: these functions by
  valkey-glide and by coredis.
* ``scripts``: the scripts that run in the server.
* ``link``: requests as commands and scripts.
"""
