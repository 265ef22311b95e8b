"""The tests of wsframe, a package so that test modules may share a name in different folders."""

import sys

# Where the environment forbids it, each process of the tests would compile the package and all tests again, and each
# program that they start the package: for longer than most of them run.
sys.dont_write_bytecode = False
