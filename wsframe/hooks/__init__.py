"""The room ``hooks``."""
