"""Many seeded clients, half of them hostile, against servers that must not mind.

* ``peer``: one client's socket, plain or TLS, with the rudenesses a socket allows.
* ``conversation``: a correct WebSocket client over a peer, which checks all that it receives.
* ``resources``: the resources; each keeps a ledger of its hooks.
* ``wandering``: rooms made by factories, between which clients move.
* ``polite``, ``rude``: the programs that clients run.
* ``world``: one round of everything, and the checks at its end.

``python -m tests.chaos [SEEDS]`` runs many seeds and prints a table.
"""
