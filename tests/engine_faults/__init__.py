"""Faults of real engines, for minutes: ``nox -s engines``."""
