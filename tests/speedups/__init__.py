"""Tests of ``wsframe.speedups``."""
