"""The room ``http``."""
