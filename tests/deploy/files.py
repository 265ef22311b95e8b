"""The files in deploy/, read as far as the tests need it."""

from __future__ import annotations

import argparse
import re
import shlex
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from wsframe.cli import make_parser
from wsframe.cli.limit_options import made_capacity, made_timeouts
from wsframe.limits import DEFAULT_TIMEOUTS, Capacity, Timeouts, filled

__all__ = ["DEPLOY", "ROOT", "Options", "container", "kubernetes", "options_of", "served_by_unit", "unit"]

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"
COMMENT = re.compile(r"^\s*#.*\n", re.MULTILINE)


class Options(NamedTuple):
    """The options of a command line of ``wsframe serve``."""

    args: argparse.Namespace
    capacity: Capacity
    timeouts: Timeouts


def options_of(arguments: list[str]) -> Options:
    """Read the arguments behind ``wsframe serve``."""
    args = make_parser().parse_args(["serve", *arguments])
    return Options(args, made_capacity(args), filled(made_timeouts(args), DEFAULT_TIMEOUTS))


def unit(name: str) -> dict[str, str]:
    """Return the settings of a unit of systemd; the last one of a name counts."""
    text = COMMENT.sub("", (DEPLOY / name).read_text()).replace("\\\n", " ")
    return dict(line.split("=", 1) for line in text.splitlines() if "=" in line)


def served_by_unit() -> Options:
    """Return the options of the service."""
    words = shlex.split(unit("chat.service")["ExecStart"])
    assert words[0].endswith("/bin/wsframe")
    assert words[1] == "serve"
    return options_of(words[2:])


def container() -> list[tuple[str, str]]:
    """Return the instructions of the Containerfile with their arguments."""
    text = COMMENT.sub("", (DEPLOY / "Containerfile").read_text()).replace("\\\n", " ")
    return [(line.split(" ", 1)[0], line.split(" ", 1)[1].strip()) for line in text.splitlines() if line]


def kubernetes() -> dict[str, Any]:
    """Return the objects of the manifest by their kinds."""
    return {one["kind"]: one for one in yaml.safe_load_all((DEPLOY / "kubernetes.yaml").read_text())}
