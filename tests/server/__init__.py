"""Tests of ``wsframe.server.server``."""
