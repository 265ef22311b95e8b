"""Readers of argument values, shared by the commands."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from math import inf
from re import compile as pattern
from typing import TYPE_CHECKING, TypeAlias, TypeVar

from wsframe.digits import whole_number
from wsframe.http.request import VERSIONS
from wsframe.log import quoted
from wsframe.server.sockets.addresses import ServerAddress, parse_address
from wsframe.workers.partitions import PARTITIONS

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

UNITS = {"K": 1024, "M": 1024**2, "G": 1024**3}
MOST = 2**63 - 1  # of 64 bits, as the system takes numbers
NUMBER = pattern(r"\d+(\.\d+)?")
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
    number = whole_number(text, 65535)
    if number is None:
        raise argparse.ArgumentTypeError(f"{quoted(text)} is not a port from 0 to 65535")
    return number


def workers(text: str) -> int | str:
    number = whole_number(text, PARTITIONS)
    if text != "auto" and not number:
        raise argparse.ArgumentTypeError(
            f"{quoted(text)} is not a number of workers from 1 to {PARTITIONS}, nor 'auto'"
        )
    return number or text


def address(text: str) -> ServerAddress:
    try:
        return parse_address(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def permissions(text: str) -> int:
    if not PERMISSIONS.fullmatch(text):
        raise argparse.ArgumentTypeError(f"{quoted(text)} is not permissions in octal, such as 660")
    return int(text, 8)


def version_numbers(text: str) -> tuple[int, ...]:
    names = text.split(",")
    if "13" not in names or not {str(version) for version in VERSIONS}.issuperset(names):
        raise argparse.ArgumentTypeError(f"{quoted(text)} must contain 13 and can add 8, 7 and 0, as in 13,8,7")
    return tuple(map(int, names))


def count(text: str) -> int:
    found = whole_number(text, MOST)
    if found is None:
        raise argparse.ArgumentTypeError(f"{quoted(text)} is not a whole number{too_large(text)}")
    return found


def integer(text: str) -> int:
    found = whole_number(text.removeprefix("-"), MOST)
    if found is None:
        raise argparse.ArgumentTypeError(f"{quoted(text)} is not a whole number{too_large(text)}")
    return -found if text.startswith("-") else found


def number(text: str) -> float:
    found = float(text) if text.isascii() and NUMBER.fullmatch(text) else inf
    if found == inf:
        raise argparse.ArgumentTypeError(f"{quoted(text)} is not a number{too_large(text)}")
    return found


def size(text: str) -> int:
    """Read a number of bytes, such as ``512``, ``64K`` or ``1M``; the units are powers of 1024."""
    unit = UNITS.get(text[-1:], 1)
    found = whole_number(text if unit == 1 else text[:-1], MOST // unit)
    if found is None:
        raise argparse.ArgumentTypeError(f"{quoted(text)} is not a size such as 512, 64K or 1M{too_large(text)}")
    return found * unit


def too_large(text: str) -> str:
    return f" up to {MOST}" if text.isascii() and text[:1].isdigit() and len(text) >= len(str(MOST)) else ""


def or_none(read: Callable[[str], ValueT]) -> Callable[[str], ValueT | None]:
    """Make a reader that also accepts ``none``."""

    def read_or_none(text: str) -> ValueT | None:
        return None if text == "none" else read(text)

    return read_or_none
