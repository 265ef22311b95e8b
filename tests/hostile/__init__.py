"""Clients that break the rules, and promises that hold all the same."""
