"""A partition goes from one process to the next one, with its clients.

Read in this order:

* ``predecessor`` leaves its partitions, life by life.
* ``successor`` takes them over.
* ``unanswered``: newcomers who had no answer yet go along.

A rolling restart does it with all partitions of a worker, ``ownership.giving`` with some of a server's.
"""
