"""The operating system: sockets, their options, readiness, TLS.

* ``sockets``: the calls that wsframe makes on a socket, and a stand-in for tests.
* ``socket_options``: TCP options, and how a close becomes a reset.
* ``poller``: which sockets are ready: epoll, kqueue, or one trio task each.
* ``tls``: TLS between a socket and a connection, with no waiting.
* ``certificate``: a certificate with its key, in files; ``x509`` reads its names and dates;
  ``client_hello`` the name that a client asks for.
* ``transport``: a connected socket with TLS or without: all that newcomers, clients and outgoing connections do to it.
* ``pump``: carries one connection between its client and the process where it lives; ``pump_loop``, all of them.
* ``trusted_proxies``, ``proxy_protocol``: the proxies whose word counts, and the header that they put before TLS;
  ``client_facts``, one of our own between the processes of a service, and ``peer_header`` between machines.
* ``malloc``: why freed memory is kept. ``forked``: sockets that processes forked by the program must not keep.
  ``standard_streams``: descriptors that sockets must not get.

Nothing in here knows WebSocket or HTTP.
"""
