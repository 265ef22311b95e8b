"""Messages for the subscribers of a topic, on this server and on others.

Read in this order:

* ``publication``: one message; ``topic``: one topic, in order.
* ``interest``: the topics that this server wants.
* ``recovery``: their history; ``positions``: places in it, compared; ``presences``: their members.
* ``topics``: all of it for one server.
* ``publisher``: publishing from a program that serves nothing.

Nothing in here knows resources: ``topic_hooks`` of the room above is their part of it.
"""
