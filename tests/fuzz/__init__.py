"""Bytes from strangers, fed to the parts of wsframe that read them; clients' and, where we are the client, servers'.

``targets`` has one function for each part: it takes any bytes and raises only if wsframe
broke a promise. hypothesis and the corpus drive them in the test suite;
``python -m tests.fuzz [SECONDS]`` drives them with atheris, which looks at the coverage.
``python -m tests.fuzz.corpus`` writes the corpus anew.
"""
