"""Tests of ``wsframe.hixie76``."""
