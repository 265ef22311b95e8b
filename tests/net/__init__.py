"""Tests of ``wsframe.net``."""
