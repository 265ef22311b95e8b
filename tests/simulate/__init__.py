"""Clusters in memory under the faults of many seeds: ``nox -s simulate``."""
