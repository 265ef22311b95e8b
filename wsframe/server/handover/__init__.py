"""A partition goes from one process to the next one, with its clients.

Read in this order:

* ``predecessor`` leaves its partitions, life by life.
* ``successor`` takes them over.
* ``unanswered``: newcomers who had no answer yet go along.

How they meet: leaving is one step for each partition. The predecessor closes it to newcomers, waits for peers as long
as it may (clients in the middle of a message), packs the lives whose resource has ``hand_over``, and leaves every
``running()``. Only then it makes its offer, so that two ``running()`` of one path never overlap. The successor receives
all of the offer, begins the partition, and says for each life whether its clients are its own now. Until then the
predecessor has duplicates of the sockets, and whatever fails, each client has one owner: the successor, or the
predecessor, which closes it 1012.

A rolling restart does it with all partitions of a worker, ``ownership.giving`` with some of a server's.
"""
