"""Tests of the sans-IO protocol: octets and a fake clock, no sockets."""
