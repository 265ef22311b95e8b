"""Finds the resource that answers a path.

Read in this order:

* ``registry``: the resources, factories and handlers of a program; ``registries``: all registries of one server.
* ``routing_table``, ``path_table``: exact paths and patterns; ``http_routes``: handlers of plain HTTP.
* ``factories``: resources that are made on demand.
* ``watchers``: the servers that follow a registry.
* ``worker_of_path``: the worker in which the resource of a path lives.

Nothing in here starts the life of a resource.
"""
