"""``wsframe completion``: print a shell completion script, made by shtab."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from wsframe.cli.arguments import add_parser
from wsframe.cli.errors import missing_extra

if TYPE_CHECKING:
    from wsframe.cli.arguments import Commands

__all__ = ["add_command"]

SHELLS = ("bash", "zsh", "fish")

EXAMPLES = """\
  wsframe completion bash > ~/.local/share/bash-completion/completions/wsframe
  wsframe completion zsh > ~/.zfunc/_wsframe
  wsframe completion fish > ~/.config/fish/completions/wsframe.fish
"""


def add_command(commands: Commands) -> None:
    parser = add_parser(
        commands,
        "completion",
        help="print a shell completion script",
        description="Print a script with which a shell completes the arguments of wsframe. Needs wsframe[cli].",
        examples=EXAMPLES,
    )
    parser.add_argument("shell", choices=SHELLS, metavar="SHELL", help="one of " + ", ".join(SHELLS))
    parser.set_defaults(command=print_completion)


def print_completion(args: argparse.Namespace) -> None:
    try:
        from shtab import complete
    except ModuleNotFoundError:
        raise missing_extra("wsframe completion", "cli") from None
    print(complete(args.parser, args.shell))
