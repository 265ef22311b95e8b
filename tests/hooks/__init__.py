"""Tests of ``wsframe.hooks.caller``."""
