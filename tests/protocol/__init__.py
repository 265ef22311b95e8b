"""Tests of the sans-IO protocol: bytes and a fake clock, no sockets."""
