"""Servers that share resources by a real Redis server, stopped, killed and cut off; ``nox -s owners`` runs them."""
