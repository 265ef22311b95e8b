"""The parts of a newcomer's way from ``accept`` to the 101, of which ``admission`` is the order.

Read in this order:

* ``newcomer``: its socket and state; ``seat``: its membership of a resource, and its place there.
* ``pending``: how many are under way at a time, and which ones wait.
* ``decide`` asks user code about it; ``disconnects`` notices when it has gone in the meantime.
* ``greeting`` makes the 101.
* ``plain_http`` finds the page for a request without a WebSocket.
* ``answering``: a refusal or a page, and the end of the connection; it counts the answers by status.

Nothing in here passes a newcomer on to another worker or machine: ``passing`` and ``peers`` do.
"""
