"""``wsframe new``: write a small project, with a resource, its page and a test that passes."""

from __future__ import annotations

import argparse
from importlib.resources import files
from pathlib import Path
from re import compile as pattern
from shlex import quote
from typing import TYPE_CHECKING

from wsframe.cli.arguments import add_parser
from wsframe.cli.errors import Failure, Mistake

if TYPE_CHECKING:
    from wsframe.cli.arguments import Commands

__all__ = ["add_command", "project_files"]

EXAMPLES = """\
  wsframe new chat && cd chat && pytest
  wsframe new games/tic-tac-toe
"""

NAME = pattern(r"[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?")
"""A name that pyproject.toml can have, by the packaging specification."""

NEXT = """
  cd {folder}
  wsframe serve app:registry    # and open the address it prints in two tabs
  pytest                        # needs: pip install 'wsframe[testing]'"""


def add_command(commands: Commands) -> None:
    parser = add_parser(
        commands,
        "new",
        help="write a small project: a resource, its page, and a test that passes",
        description="Write a folder with a resource (app.py), its page (app.html), a test (test_app.py) and "
        "pyproject.toml. The folder must not exist, or be empty.",
        examples=EXAMPLES,
    )
    parser.add_argument("folder", metavar="NAME", help="the folder to write; its last part names the project")
    parser.set_defaults(command=write_project)


def write_project(args: argparse.Namespace) -> None:
    folder = Path(args.folder)
    name = folder.name
    if not name.isascii() or not NAME.fullmatch(name):
        raise Mistake(
            f"the name of a project has letters, digits, '.', '-' and '_', and begins and ends with a letter or digit, "
            f"got {name!r}: try {suggested(name)!r}"
        )
    try:
        if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
            raise Mistake(f"{folder} exists and is not an empty folder: choose another name")
        folder.mkdir(parents=True, exist_ok=True)
        for file, text in project_files(name).items():
            (folder / file).write_text(text, encoding="utf-8")
            print(f"wrote {folder / file}")
    except OSError as error:
        raise Failure(f"cannot write {error.filename or folder}: {error.strerror}") from None
    print(NEXT.format(folder=quote(str(folder))))


def project_files(name: str) -> dict[str, str]:
    """Return the contents of the files of a new project, by their names."""
    templates = sorted(files("wsframe.cli").joinpath("project").iterdir(), key=lambda template: template.name)
    return {
        template.name.removesuffix(".in"): template.read_text(encoding="utf-8").replace("{{name}}", name)
        for template in templates
        if template.name.endswith(".in")
    }


def suggested(name: str) -> str:
    kept = "".join(letter if letter.isascii() and letter.isalnum() else "-" for letter in name)
    return kept.strip("-") or "chat"
