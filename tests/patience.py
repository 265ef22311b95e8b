"""How long a test waits for another program, thread or event before it calls it hung."""

__all__ = ["PATIENCE"]

PATIENCE = 240
"""Seconds. A busy machine starts four workers and a relay in one minute: this never measures its speed."""
