"""The room ``resources``."""
