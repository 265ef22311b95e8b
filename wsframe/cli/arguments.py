"""Readers of argument values, shared by the commands."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from re import compile as pattern
from typing import TYPE_CHECKING, TypeAlias, TypeVar

from wsframe.http.request import VERSIONS
from wsframe.server.addresses import ServerAddress, parse_address

if TYPE_CHECKING:
    Commands: TypeAlias = "argparse._SubParsersAction[argparse.ArgumentParser]"

__all__ = [
    "add_parser",
    "address",
    "count",
    "integer",
    "number",
    "or_none",
    "permissions",
    "port_number",
    "size",
    "version_numbers",
    "workers",
]

ValueT = TypeVar("ValueT")

UNITS = {"": 1, "K": 1024, "M": 1024**2, "G": 1024**3}
SIZE = pattern(r"(\d+)([KMG]?)", 0)
NUMBER = pattern(r"\d+(\.\d+)?")
INTEGER = pattern(r"-?\d+")
PERMISSIONS = pattern(r"(0o)?0?[0-7]{1,3}")


def add_parser(commands: Commands, name: str, help: str, description: str, examples: str) -> argparse.ArgumentParser:
    """Add a command, with examples below its help."""
    return commands.add_parser(
        name,
        help=help,
        description=description,
        epilog=f"examples:\n{examples}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )


def port_number(text: str) -> int:
    if not text.isascii() or not text.isdigit() or int(text) > 65535:
        raise argparse.ArgumentTypeError(f"{text!r} is not a port from 0 to 65535")
    return int(text)


def workers(text: str) -> int | str:
    if text != "auto" and (not text.isascii() or not text.isdigit() or int(text) < 1):
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of workers from 1 on, nor 'auto'")
    return text if text == "auto" else int(text)


def address(text: str) -> ServerAddress:
    try:
        return parse_address(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def permissions(text: str) -> int:
    if not PERMISSIONS.fullmatch(text):
        raise argparse.ArgumentTypeError(f"{text!r} is not permissions in octal, such as 660")
    return int(text, 8)


def version_numbers(text: str) -> tuple[int, ...]:
    names = text.split(",")
    if "13" not in names or not {str(version) for version in VERSIONS}.issuperset(names):
        raise argparse.ArgumentTypeError(f"{text!r} must contain 13 and can add 8, 7 and 0, as in 13,8,7")
    return tuple(map(int, names))


def count(text: str) -> int:
    if not text.isascii() or not text.isdigit():
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number")
    return int(text)


def integer(text: str) -> int:
    if not text.isascii() or not INTEGER.fullmatch(text):
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number")
    return int(text)


def number(text: str) -> float:
    if not text.isascii() or not NUMBER.fullmatch(text):
        raise argparse.ArgumentTypeError(f"{text!r} is not a number")
    return float(text)


def size(text: str) -> int:
    """Read a number of bytes, such as ``512``, ``64K`` or ``1M``; the units are powers of 1024."""
    found = SIZE.fullmatch(text) if text.isascii() else None
    if found is None:
        raise argparse.ArgumentTypeError(f"{text!r} is not a size such as 512, 64K or 1M")
    return int(found[1]) * UNITS[found[2]]


def or_none(read: Callable[[str], ValueT]) -> Callable[[str], ValueT | None]:
    """Make a reader that also accepts ``none``."""

    def read_or_none(text: str) -> ValueT | None:
        return None if text == "none" else read(text)

    return read_or_none
