"""One client's connection: socket, decoder, queues, end; and the reactor that runs all of them.

Read in this order:

* ``reactor``: the one task that reads all sockets, and its two companions. ``loop``: the state that they
  and the links share.
  ``lead``: when a listener reads in the reactor's place; ``spinning``: whether it looks again before it waits.
* ``link``: one client. It has ``readiness`` (which events of its socket it waits for), a ``sender`` (frames to
  the kernel), a ``closing`` and a ``leaving`` (how it ends), and ``pings``.
* ``mailbox``: received messages that wait for the hooks. ``outbox``: frames that wait for the kernel;
  ``frame_queue``: their order; ``conflation``: how a key finds the frame it replaces.
* ``flusher``: when the outboxes are sent. ``memory_budget``: how much all clients can hold together, and how much
  each object counts.
* ``close_log``: the line of the log at the end of each connection.
* ``interfaces``: a new client's arrival from ``server/admission``, and the calls between links, lives and clients.
* ``counters``: the numbers that a server counts, for each path and in all.
* ``client_statistics``: the numbers of one client.
* ``freeze``: an open connection as plain values, to go on in another link or process.
* ``frozen_document``: these values as JSON and bytes.
* ``protocol_version``: the differences between versions of the protocol.

Everything in a link is sync and runs in the task that calls it. Nothing in here awaits user
code, calls a hook, or knows paths, origins and registries.
"""
