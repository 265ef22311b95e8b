"""Tests of ``wsframe.connection``."""
