"""Tests of ``wsframe.pages``."""
