"""The Autobahn conformance suite, run against a WebSocket server, or client.

``python -m tests.autobahn`` runs it against wsframe's own echo server, with ``--client`` against its client,
``python -m tests.autobahn.run URL`` against any echo server.
"""
