"""``wsframe asyncapi``: describe the resources of a target in an AsyncAPI document."""

from __future__ import annotations

import argparse
import json
from typing import TYPE_CHECKING

from wsframe.cli.arguments import add_parser
from wsframe.cli.target import TARGET_HELP, load_target
from wsframe.resources import asyncapi
from wsframe.resources.routing.registry import served_with

if TYPE_CHECKING:
    from wsframe.cli.arguments import Commands

__all__ = ["add_command"]

EXAMPLES = """\
  wsframe asyncapi orders.py > orders.json
  wsframe asyncapi myproject.orders:registry --title Orders --api-version 2.0.0
"""


def add_command(commands: Commands) -> None:
    parser = add_parser(
        commands,
        "asyncapi",
        help="describe the resources that a module registers, as an AsyncAPI document",
        description="Print an AsyncAPI 3.0 document in JSON that describes the resources of a module or file.",
        examples=EXAMPLES,
    )
    parser.add_argument("target", metavar="TARGET", help=TARGET_HELP)
    parser.add_argument("--title", help="title of the application (default: the name of the target)")
    parser.add_argument("--api-version", metavar="VERSION", default="1.0.0", help="its version (default 1.0.0)")
    parser.set_defaults(command=print_asyncapi)


def print_asyncapi(args: argparse.Namespace) -> None:
    module, registry = load_target(args.target, debug=False)
    document = asyncapi.document(
        *served_with(registry),
        title=module.__name__ if args.title is None else args.title,
        version=args.api_version,
    )
    print(json.dumps(document, indent=2))
