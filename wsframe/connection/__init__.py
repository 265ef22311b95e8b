"""The room ``connection``."""
