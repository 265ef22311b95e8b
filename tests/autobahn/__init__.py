"""The Autobahn conformance suite, run against a WebSocket server.

``python -m tests.autobahn`` runs it against wsframe's own echo server,
``python -m tests.autobahn.run URL`` against any echo server.
"""
