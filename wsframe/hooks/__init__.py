"""The tasks that call hooks: one listener task for each resource that is served.

Read in this order:

* ``listener``: one life of a resource, from ``running()`` to its last client.
* ``caller``: calls the hooks for the entries of a mailbox, one at a time.
* ``client_ordering``: calls them with ``ordering = "client"``, where clients do not wait for each other.
* ``context_vars``: runs them in the context of their client.
* ``remaining_clients``: the last hooks of a life that is cancelled; ``forced_end``: the end of its connections.
* ``listeners``: all lives of one server; they start, end, fail and start again.
* ``path_counters``: the numbers of each path. ``stopwatch``: times of hooks, and of messages that wait for them.
* ``ownership_guard``: a life that acts by a lease. ``leased_partitions``: the partitions that are leased, with their
  lives.
* ``tracing``: spans of connections and hooks.
* ``tasks``: tasks of a resource and of a client, and limits to a hook's time.
* ``move_client``: how a client gets from one resource to another.
* ``posts``: entries from :meth:`Resource.post` and ``call``. ``seats``: how many clients a life has or awaits.

* ``hand_over_steps``: errands for the tasks of a life. ``hand_over``, ``take_over``: how a life goes to another
  process with its clients. ``thawed_hosts``: the hosts of connections that are thawed. ``paired_lives``: how lives
  of two processes find each other.

Nothing in here touches a socket.
"""
