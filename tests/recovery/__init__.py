"""Clients that are cut off while messages flow over two servers: ``nox -s recovery``."""
