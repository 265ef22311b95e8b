"""The files in deploy/: each is checked by the program that reads it, and against the others and our timeouts."""
