"""The log where nobody has configured it.

Read in this order:

* ``stderr_log``: lines on standard error.
* ``json_log`` makes its lines JSON.
* ``json_stderr`` does so with everything else that Python writes there.

Nothing in here knows a server.
"""
