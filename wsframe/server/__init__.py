"""The server: bind, accept, admit, drain.

Read in this order:

* ``run``: ``serve``, ``open_server`` and ``run``, the ways to start; ``handlers``: serving one path with functions.
* ``serving``: a server in a thread; ``any_thread``: which methods of a handle other threads can call.
* ``options``: ``ServeOptions``, all that they take; ``check_options`` finds mistakes in it before anything begins.
* ``cluster``: the settings of servers that share resources.
* ``describe``: the one line about an error that keeps a server from its start.
* ``local_server``: one running server, from its sockets to the end of its drain; users hold ``resources.server``.
* ``admission``: one newcomer on its way from ``accept`` to the 101; ``entrance``: newcomers are let in at once, or get
  a task each. ``capacity``: how many clients there can be.
* ``posting``: posts to the resource of a path, in whichever worker it lives.
* ``peering`` joins the parts that carry newcomers between machines.
* ``drain``: the order to drain and its times; ``departure``: the order in which clients leave.
* ``signals``: SIGINT and SIGTERM, also while a hook blocks; ``kernel_timer`` helps it.
* ``tls``: certificates, and the choice between several; ``tls_reload`` has them read again.
* ``notify``: messages to systemd: the server is ready, alive, or stopping.

And in rooms of its own:

* ``sockets``: listening sockets, from an address in text to the tasks that accept.
* ``newcomers``: the parts of their way to the 101.
* ``service``: several workers under a supervisor; ``passing``: newcomers go to the worker of their resource.
* ``ownership``: leases of servers that share resources; ``peers``: newcomers go to the server that has the lease.
* ``handover``: a partition goes to another process, with its clients.
* ``monitoring``: reports about a server; ``logs``: the log where nobody has configured it.

Nothing in here decodes frames or calls hooks of connected clients.
"""
