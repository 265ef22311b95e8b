"""The room ``hixie76``."""
