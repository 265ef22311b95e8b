"""The project's checks, each in its own environment: ``nox -s NAME``, or ``nox`` for the usual ones."""

from pathlib import Path

import nox

SPELLED = ("docs", "wsframe", "examples", "README.rst", "CONTRIBUTING.rst", "CHANGELOG.rst", "newsfragments")

nox.options.default_venv_backend = "venv"
nox.options.sessions = ["lint", "types", "layers", "tests", "docs"]


def run_package(session: nox.Session, name: str, *, extras: str = "test") -> None:
    """Run a package of the tests as a program, with the arguments after ``--``."""
    session.install("-e", f".[{extras}]")
    session.run("python", "-m", f"tests.{name}", *session.posargs)


@nox.session
def lint(session: nox.Session) -> None:
    """Check style and formatting."""
    session.install("ruff")
    session.run("ruff", "check")
    session.run("ruff", "format", "--check")


@nox.session
def types(session: nox.Session) -> None:
    """Check the types of the package, the tests and the examples."""
    session.install("-e", ".[dev]")
    session.run("mypy")


@nox.session
def layers(session: nox.Session) -> None:
    """Check that modules import only from their own layer or lower ones."""
    session.install("-e", ".", "import-linter")
    session.run("lint-imports")


@nox.session
def tests(session: nox.Session) -> None:
    """Run the tests with coverage; arguments after ``--`` go to pytest."""
    session.install("-e", ".[test]")
    session.run("pytest", "-n", "auto", "--dist", "loadfile", "--cov", *session.posargs)


@nox.session
def pure(session: nox.Session) -> None:
    """Run all tests without the C extension: 15 minutes."""
    session.install("-e", ".[test]")
    session.run("pytest", "-n", "auto", "--dist", "loadfile", *session.posargs, env={"WSFRAME_SPEEDUPS": "0"})


@nox.session
def docs(session: nox.Session) -> None:
    """Build the documentation, with every warning an error; check its links and its spelling."""
    session.install("-e", ".[docs]")
    session.run("codespell", *SPELLED)
    session.run("sphinx-build", "-n", "-W", "--keep-going", "docs", "docs/_build/html")
    session.run("python", "-m", "tests.html_links", "docs/_build/html")


@nox.session
def links(session: nox.Session) -> None:
    """Check the links of the documentation to other hosts, which needs the network."""
    session.install("-e", ".[docs]")
    session.run("sphinx-build", "-q", "-b", "linkcheck", "docs", "docs/_build/linkcheck")


@nox.session
def examples(session: nox.Session) -> None:
    """Run the examples in a real browser, with clients of npm; write the record and the pictures into the docs."""
    run_package(session, "examples", extras="test,examples")


@nox.session
def autobahn(session: nox.Session) -> None:
    """Run the Autobahn conformance suite: the quick set, or the set named after ``--``, such as ``all``."""
    run_package(session, "autobahn")


@nox.session
def foreign(session: nox.Session) -> None:
    """Try the installed clients, servers and proxies of other projects; write the results into the docs."""
    run_package(session, "foreign", extras="test,foreign")


@nox.session
def workers(session: nox.Session) -> None:
    """Kill, stop, crowd and count the workers of a service, and run all examples with 4 workers; write both records."""
    run_package(session, "workers")
    session.run("python", "-m", "tests.examples", env={"WSFRAME_EXAMPLE_WORKERS": "4"})


@nox.session
def chaos(session: nox.Session) -> None:
    """Attack the server with hostile clients: 10 seeds of 300 clients, or ``-- SEEDS CLIENTS FIRST``."""
    run_package(session, "chaos")


@nox.session
def simulate(session: nox.Session) -> None:
    """Disturb clusters in memory by the faults of 500 seeds, or of the number after ``--``; write the record."""
    run_package(session, "simulate")


@nox.session
def engines(session: nox.Session) -> None:
    """Break real Redis and PostgreSQL servers and write the record: all, or those named after ``--``."""
    run_package(session, "engine_faults")
    session.run("pytest", "-q", "tests/backplane/test_cancelling.py", env={"WSFRAME_CANCEL_STRIDE": "1"})


@nox.session
def recovery(session: nox.Session) -> None:
    """Cut 1 000 clients over two servers and a Redis that fail, and restart members; write the record: 8 minutes.

    ``-- storm`` has ten channels, ``-- one_channel`` one for all, ``-- deploy`` and ``-- killed`` have members.
    """
    run_package(session, "recovery")


@nox.session
def owners(session: nox.Session) -> None:
    """Stop and kill servers that share 50 paths, and their engine: ``-- ROUNDS SEED``; write the record."""
    run_package(session, "owners")


@nox.session
def restarts(session: nox.Session) -> None:
    """Restart workers under load, and kill them at each step: ``-- CLIENTS RESTARTS``; write the record."""
    run_package(session, "restarts")


@nox.session
def fuzz(session: nox.Session) -> None:
    """Fuzz the parsers of untrusted bytes with atheris: for 60 seconds, or the number after ``--``."""
    run_package(session, "fuzz", extras="fuzz")


@nox.session
def sanitize(session: nox.Session) -> None:
    """Build the C extension with the compiler's sanitizers and run the tests near it: 6 minutes."""
    session.install("-e", ".[test]", "setuptools>=77")
    session.run("python", "-m", "tests.sanitize", *session.posargs)


@nox.session(python=["3.11", "3.12", "3.13"])
def speedups(session: nox.Session) -> None:
    """Run the tests of the C extension with each Python that is installed."""
    session.install("-e", ".[test]")
    tests = sorted(map(str, Path("tests/speedups").glob("test_*.py")))
    session.run("pytest", *tests, "tests/fuzz", *session.posargs, env={"WSFRAME_REQUIRE_ALL": "1"})


@nox.session
def packages(session: nox.Session) -> None:
    """Build the sdist and the wheel and install them, with a C compiler and without one."""
    session.install("build", "pyright")
    session.run(".ci/packages", "python", external=True)


@nox.session
def soak(session: nox.Session) -> None:
    """Load the server for 10 minutes, or ``-- SECONDS FOLDER``; write a report, and fail on growth."""
    run_package(session, "soak", extras="soak")


@nox.session
def bench(session: nox.Session) -> None:
    """Measure wsframe beside other servers; arguments after ``--`` go to ``python -m benchmarks``."""
    session.install("-e", ".[bench]")
    session.run("python", "-m", "benchmarks", *session.posargs)


@nox.session
def demo(session: nox.Session) -> None:
    """Run the chat example; arguments after ``--`` go to it."""
    session.install("-e", ".")
    session.run("python", "examples/chat.py", *session.posargs)
