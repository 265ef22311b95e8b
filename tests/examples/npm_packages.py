"""The npm packages of the examples, which only ``nox -s examples`` installs."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

from tests.requirements import missing, require

__all__ = ["NPM", "npm_modules", "npm_version"]

NPM = Path(__file__).parent / "npm"


def npm_modules() -> Path:
    """Return the folder of the installed packages."""
    modules, lock = NPM / "node_modules", NPM / "package-lock.json"
    stamp = modules / ".package-lock.json"
    if not stamp.exists() or stamp.stat().st_mtime < lock.stat().st_mtime:
        command = [require("npm"), "ci", "--ignore-scripts", "--prefix", str(NPM)]
        done = subprocess.run(command, cwd=NPM, capture_output=True, text=True, timeout=200, check=False)
        if done.returncode:
            missing(f"npm ci failed: {done.stderr[-500:]}")
    return modules


def npm_version(name: str) -> str:
    return str(json.loads((NPM / "node_modules" / name / "package.json").read_text())["version"])
