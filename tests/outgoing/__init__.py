"""Tests of ``wsframe.outgoing``."""
