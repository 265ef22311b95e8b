"""The reference of the command line names all that there is."""

import argparse
import re

from tests.documents import ROOT
from wsframe.cli import make_parser
from wsframe.cli.limit_options import FLAGS

PAGE = ROOT / "docs/reference/cli.rst"


def commands() -> dict[str, argparse.ArgumentParser]:
    parser = make_parser()
    (found,) = (action for action in parser._actions if isinstance(action, argparse._SubParsersAction))
    return found.choices


def section(command: str) -> str:
    text = PAGE.read_text().partition(f"\nwsframe {command}\n---")[2]
    return re.split(r"\nwsframe \w+\n---", text)[0]


def test_every_command_has_a_section_with_all_its_options() -> None:
    for name, parser in commands().items():
        options = {option for action in parser._actions for option in action.option_strings if option.startswith("--")}
        named = set(re.findall(r"^``(--[\w-]+)", section(name), re.MULTILINE))
        mentioned = set(re.findall(r"``(--[\w-]+)", section(name)))
        assert options - {"--help"} <= mentioned, name
        assert named <= options, name


def test_every_flag_names_its_field() -> None:
    rows = re.findall(r"^``(--[\w-]+).*?`` +``(\w+)\.(\w+)``", section("serve"), re.MULTILINE)
    assert rows == [(flag.name, flag.options.__name__, flag.field) for flag in FLAGS]
