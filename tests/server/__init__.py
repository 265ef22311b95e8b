"""Tests of ``wsframe.server.local_server``."""
