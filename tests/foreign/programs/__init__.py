"""The programs of the foreign peers, each run by itself."""
