"""Needs of some tests besides wsframe: programs such as Node and Chromium, the C extension, a package.

Where it is missing the test is skipped and says so. Where ``WSFRAME_REQUIRE_ALL`` is
set, as it is in continuous integration, that is a failure instead.
"""

import os
import shutil
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import NoReturn

import pytest

from wsframe.speedups import FROM_C

if sys.platform != "win32":
    import fcntl

__all__ = ["NODE", "missing", "require", "require_c", "require_node", "require_npm_packages", "require_package"]

NODE = Path(__file__).with_name("node")
"""Where the packages are that the tests use with Node."""


def missing(reason: str) -> NoReturn:
    """Skip the running test for something missing, or fail it where nothing may be missing."""
    if os.environ.get("WSFRAME_REQUIRE_ALL"):
        pytest.fail(f"{reason} (WSFRAME_REQUIRE_ALL is set)", pytrace=False)
    pytest.skip(reason, allow_module_level=True)


def require(*names: str) -> str:
    """Return the path of the first of these programs that is installed; skip or fail if none is."""
    for name in names:
        path = shutil.which(name)
        if path is not None:
            return path
    missing(f"{' or '.join(names)} is not installed")


def require_node() -> str:
    """Return the path of Node, its packages installed."""
    node = require("node")
    require_npm_packages(NODE)
    return node


def require_npm_packages(folder: Path) -> Path:
    """Install the npm packages of a folder unless they are there, in one process at a time; return their folder."""
    modules, wanted = folder / "node_modules", folder / "package-lock.json"
    with wanted.open() as lock:  # whose end releases it
        if sys.platform != "win32":
            fcntl.flock(lock, fcntl.LOCK_EX)
        installed = modules / ".package-lock.json"
        if not installed.exists() or installed.stat().st_mtime < wanted.stat().st_mtime:
            command = [require("npm"), "ci", "--ignore-scripts", "--prefix", str(folder)]
            done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=200, check=False)
            if done.returncode:
                missing(f"npm ci failed: {done.stderr[-500:]}")
    return modules


def require_c() -> None:
    """Skip or fail where the C extension is not in use."""
    if not FROM_C:
        missing("the C extension is not in use")


def require_package(name: str) -> None:
    """Skip or fail where a package of the extra ``test`` is not installed."""
    if find_spec(name) is None:
        missing(f"{name} is not installed")
