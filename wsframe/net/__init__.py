"""The room ``net``."""
