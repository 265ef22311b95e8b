"""Tests of ``wsframe.server.engine``."""
