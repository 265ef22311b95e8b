"""Clients that break the rules, and what must hold all the same."""
