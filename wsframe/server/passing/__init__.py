"""Newcomers go to the worker of their resource.

Read in this order:

* ``destination`` says which worker that is.
* ``passing``: their sockets go there, unread.
* ``forwarding``: newcomers with TLS, which this worker decrypts; ``carried``: their connections from then on.

Nothing in here knows other machines: ``peers`` does.
"""
