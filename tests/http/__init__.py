"""Tests of ``wsframe.http``."""
