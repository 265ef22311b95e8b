"""HTTP up to the 101, with no I/O: requests, answers, both sides of the handshake.

Read in this order:

* ``request``: the request that hooks and validators see. ``responses``: the answers to it.
* ``handler_marks``: handlers that answer whatever the Host is, or alike in every worker.
* ``handshake``: a server reads the head, checks it, makes the 101 or the refusal.
* ``other_protocols``: TLS, HTTP/2 and others in the place of HTTP/1.1, recognized by how they begin.
* ``body``: the content of a plain HTTP request.
* ``plain_head``, ``authority``, ``paths``: the fast reader of heads; hosts, targets and paths in one spelling.
* ``forwarded``: the client of a request that came through proxies.
* ``origins``, ``hostnames``: which web pages can connect, and which Host names are answered; their spellings.
* ``client_handshake``: the other side, for outgoing connections.
* ``deflate_terms``: the compression that both sides agree on.

Nothing in here opens a socket, reads a clock or knows a resource.
"""
