"""Tests of ``wsframe.resources``."""
