"""Tables of plain text."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

__all__ = ["columns", "printable"]


def columns(header: Sequence[str], rows: Sequence[Sequence[str]], *, right: Sequence[int] = ()) -> Iterator[str]:
    """Yield the lines of a table.

    Args:
        header: The titles.
        rows: The cells of each row.
        right: The columns to align on the right, such as numbers.
    """
    table = [header, *rows]
    widths = [max(len(row[at]) for row in table) for at in range(len(header))]
    for row in table:
        cells = [
            cell.rjust(width) if at in right else cell.ljust(width)
            for at, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        yield "  ".join(cells).rstrip()


def printable(text: str) -> str:
    """Replace characters that could control a terminal: a stranger can have chosen the text."""
    return "".join(letter if letter.isprintable() else "\N{REPLACEMENT CHARACTER}" for letter in text)
