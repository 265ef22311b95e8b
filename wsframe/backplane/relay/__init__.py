"""The backplane between processes of one machine, and its hub in a process of its own.

Read in this order:

* ``frames``: the messages between a worker and its relay, as bytes.
* ``stream``: one unix stream of these messages, read and written in whole batches.
* ``backplane``: the backplane as a worker sees it.
* ``worker``: one worker, as the relay sees it.
* ``uplink``: a relay that links the workers of its machine to an engine.
* ``loop``: the loop over the streams of all workers, without an engine.

The process itself is ``relay_process``, beside this room.
"""
