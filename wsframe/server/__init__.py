"""The server: bind, accept, admit, drain.

Read in this order:

* ``run``: ``serve``, ``open_server`` and ``run``, the ways to start.
* ``service``: the same with several workers, under a supervisor; ``supervised_worker``: a worker's side of that,
  and ``orphan`` ends one that outlives its supervisor.
* ``serving``: a server in a thread; ``any_thread``: which methods of a handle other threads can call.
* ``options``: ``ServeOptions``, all that they take; ``check_options`` finds mistakes in it before anything begins.
* ``cluster``: the settings of servers that share resources.
* ``describe``: the one line about an error that keeps a server from its start.
* ``signals``: SIGINT and SIGTERM, also while a hook blocks; ``kernel_timer`` helps it.
* ``tls``: certificates, and the choice between several; ``tls_reload`` has them read again.
* ``notify``: messages to systemd: the server is ready, alive, or stopping.
* ``stderr_log``: the log where nobody has configured it. ``json_log`` makes its lines JSON, and ``json_stderr``
  everything else that Python writes there.
* ``handlers``: serving one path with functions in one call.
* ``local_server``: one running server, from its sockets to the end of its drain; users hold ``resources.server``.
* ``posting``: posts to the resource of a path, in whichever worker it lives.
* ``owning``: whether a server shares resources with others by leases; ``tenure``: the partitions that it owns,
  ``giving`` gives them away, ``neighbors`` are the other servers, and ``reports`` the messages between them.
* ``generation``: a worker's part in a rolling restart. ``predecessor``, ``successor``: one leaves its partitions, and
  another one takes them over. ``unanswered``: newcomers that go there with them.
* ``drain``: the order to drain and its times; ``departure``: the order in which clients leave.
* ``watchdog``: names the code that keeps the event loop from turning; ``slow_hooks``: hooks that wait for long.
* ``addresses``: the addresses of a server, read from text; ``bind`` binds them, ``activation`` takes them from
  systemd.
* ``listen``: the tasks that accept.
* ``entrance``: newcomers are let in at once, or get a task each.
* ``passing``: newcomers go to the worker of their resource; ``destination`` says which one that is.
  ``forwarding``: those with TLS, which this worker decrypts; ``carried``: their connections from then on.
* ``splice``: newcomers go to the machine of their resource, at its ``peer_port``, which ``dialing`` asks; ``peers`` are
  the names and keys of servers, and ``peering`` joins these parts.
* ``pending``: how many newcomers are under way at a time, and which ones wait.
* ``admission``: one newcomer on its way from ``accept`` to the 101; ``newcomer`` is its socket and state, ``seat``
  its membership of a resource and its place there.
  ``plain_http`` finds the page for a request without a WebSocket.
  ``decide`` asks user code about it, ``leavers`` notices when it has gone in the meantime; ``greeting`` makes the 101.
* ``answering``: a refusal or a page, and the end of the connection.
* ``answers``: how many answers of each status there were.
* ``capacity``: how many clients there can be. ``readiness``: whether newcomers are welcome. ``statistics``, ``health``:
  reports about a server.
* ``snapshot``: these reports as JSON, and those of several servers together; ``inquiry``: another process asks for
  one; ``census`` asks all workers of a service, and ``nodes`` its servers on all machines.
* ``figures``: all numbers of a server by name. ``metrics`` answers with them, in the words of ``prometheus``;
  ``metrics_port`` does so at a port of its own.

Nothing in here decodes frames or calls hooks of connected clients.
"""
