"""Tests of the modules that do input and output, over real sockets on loopback."""
