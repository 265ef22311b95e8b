"""The tests of wsframe, a package so that test modules may share a name in different folders."""
