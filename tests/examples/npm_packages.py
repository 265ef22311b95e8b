"""The npm packages of the examples, which only ``nox -s examples`` installs."""

from __future__ import annotations

import json
from pathlib import Path

from tests.requirements import require_npm_packages

__all__ = ["NPM", "npm_modules", "npm_version"]

NPM = Path(__file__).parent / "npm"


def npm_modules() -> Path:
    """Return the folder of the installed packages."""
    return require_npm_packages(NPM)


def npm_version(name: str) -> str:
    return str(json.loads((NPM / "node_modules" / name / "package.json").read_text())["version"])
