"""The interface that users write against: resources, clients, registries.

Read in this order:

* ``resource``: the class that users subclass; its hooks and their contract.
* ``own_tasks``: its tasks, and messages and calls to it. ``handing_over``: its hooks for a new process that goes on
  with its clients.
* ``accept``: the answer of ``accept_client`` that lets a client in.
* ``client``: one connected peer. ``client_tasks``: its tasks. ``clients``: the clients of a resource.
  ``broadcast``: one message to many clients.
* ``topics``, a room: messages for subscribers, on this server and on others.
  ``shared_broadcast``: broadcasts to the clients of all workers. ``topic_hooks``: the part of a resource that has to do
  with topics.
* ``life``: one life of a resource, as the resource sees it; ``ownership``: the right by which it acts.
* ``server``: the handle on the running server, without the machine behind it.
* ``routing``, a room: which resource answers a path.
* ``decorator``: registers a class. ``functions``: resources from functions. ``json_resource``: typed JSON messages.
  ``asyncapi`` describes resources in a document.
* ``check_hooks``, ``check_attributes``: mistakes in a subclass, found when the class is made.
* ``hints``: probable intentions, for mistakes that only a running hook shows.
* ``check_message``: asks a resource about a frame before its payload is held.

Nothing in here starts a task, touches a socket, or calls a hook.
"""
