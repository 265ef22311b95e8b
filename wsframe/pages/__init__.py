"""The room ``pages``."""
