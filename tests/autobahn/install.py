"""Installs the Autobahn suite, which runs on Python 2.7 only, in an environment of its own.

``python -m tests.autobahn.install`` does it by hand; the runner does it when needed.
The environment is kept in ``$WSFRAME_AUTOBAHN_DIR``, else ``~/.cache/wsframe-autobahn``,
and made once: about half a minute, with a C compiler at hand.
"""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

__all__ = ["NoPython27", "find_python27", "install"]

SUITE = "autobahntestsuite==25.10.1"
# The last virtualenv that makes environments for Python 2.7.
VIRTUALENV = "virtualenv<20.22"


class NoPython27(Exception):
    """There is no Python 2.7 on this machine."""


def find_python27() -> Path:
    """Return a Python 2.7: ``$PYTHON27``, or the one on the path, or pyenv's newest.

    Raises:
        NoPython27: If there is none that runs.
    """
    pyenv = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv"))
    installed = sorted(pyenv.glob("versions/2.7*/bin/python2.7"), key=version_of, reverse=True)
    candidates = [os.environ.get("PYTHON27"), shutil.which("python2.7"), *installed]
    for candidate in candidates:
        if candidate and is_python27(candidate):
            return Path(candidate)
    raise NoPython27("no Python 2.7 on this machine: set PYTHON27 to one")


def version_of(python: Path) -> list[int]:
    return [int(number) for number in re.findall(r"\d+", python.parts[-3])]


def is_python27(program: str | Path) -> bool:
    # pyenv puts a python2.7 on the path that fails unless a 2.7 is selected.
    check = "import sys; sys.exit(sys.version_info[:2] != (2, 7))"
    try:
        return subprocess.run([program, "-c", check], capture_output=True, timeout=30, check=False).returncode == 0
    except (OSError, subprocess.TimeoutExpired):
        return False


def cache_dir() -> Path:
    cache = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache"))
    return Path(os.environ.get("WSFRAME_AUTOBAHN_DIR", cache / "wsframe-autobahn"))


def install() -> Path:
    """Return the suite's ``wstest`` program, installed first if it is not there yet.

    Raises:
        NoPython27: If it must be installed and there is no Python 2.7.
        subprocess.CalledProcessError: If installing fails; its ``stderr`` says why.
    """
    directory = cache_dir()
    wstest = directory / "py27" / "bin" / "wstest"
    ready = directory / f"{SUITE}.ready"
    if ready.exists() and wstest.exists():
        return wstest
    python27 = find_python27()
    for leftover in ("virtualenv", "py27"):  # of an interrupted installation
        shutil.rmtree(directory / leftover, ignore_errors=True)
    make([sys.executable, "-m", "venv", directory / "virtualenv"])
    make([directory / "virtualenv/bin/pip", "install", "-q", VIRTUALENV])
    make([directory / "virtualenv/bin/virtualenv", "-q", "-p", python27, directory / "py27"])
    make([directory / "py27/bin/pip", "install", "-q", SUITE])
    make([wstest, "--autobahnversion"])
    ready.touch()
    return wstest


def make(command: list[str | Path]) -> None:
    subprocess.run(command, check=True, capture_output=True, text=True, timeout=600)


if __name__ == "__main__":
    print(install())
