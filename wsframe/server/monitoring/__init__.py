"""Reports about a server and its service, and warnings about user code that holds it up.

Read in this order:

* ``readiness``: whether newcomers are welcome. ``statistics``, ``health``: reports about a server.
* ``statistics_json``: these reports as JSON, and those of several servers together; ``inquiry``: another process asks
  for one; ``service_statistics`` asks all workers of a service, and ``nodes`` its servers on all machines.
* ``metric_values``: all numbers of a server by name. ``metrics`` answers with them, in the words of ``prometheus``;
  ``metrics_port`` does so at a port of its own.
* ``watchdog``: names the code that keeps the event loop from turning; ``slow_hooks``: hooks that wait for long.

Nothing in here changes how a server answers, but for the pages that show its reports. An
inquiry can also ask a server to rebalance.
"""
