"""Several processes that serve as one: where each resource lives, and how newcomers get there.

* ``partitions``: the 256 groups of resources that are placed together, and the slot of each.
* ``placement``: which partitions live in this process.
* ``ledger``: the places of all workers.
* ``door``: the way of accepted sockets from one process to another.
* ``board``: numbers in shared memory, which each process can read and one writes.
* ``balance``: has newcomers go to the workers with the fewest clients.
* ``orders``: the messages between the supervisor and a worker.
* ``control_socket``: the two ends that carry them.
* ``worker``: this process as the supervisor has made it.
* ``runtime``: the runtime directory, and the locks that keep services apart.
* ``inherited``: the descriptors that all workers inherit. ``child``: a worker as the supervisor knows it.
* ``slots``: the supervisor's tables, without input or output: the live workers, and when a successor starts.
* ``relay_keeper``: keeps the process running that passes messages between the workers.
* ``spare``: a process that has imported wsframe, and becomes a worker when one has died.
* ``supervisor``: starts the workers and looks after them.
* ``restart_table``: the steps of a rolling restart, without input or output; ``rolling_restart`` carries them out.
* ``socket_exchange``: a conversation of two processes about sockets that go from one to the other.
* ``state_file``: a state on its way there, as JSON and bytes in a file without a name.

Read them in this order. Nothing in here knows clients or resources: sockets, descriptors and partitions
have numbers, and the sockets that are passed are not read.
"""
