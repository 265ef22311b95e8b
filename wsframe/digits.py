"""Numbers in text, such as a port or the value of an environment variable."""

from __future__ import annotations

__all__ = ["whole_number"]


def whole_number(text: str, most: int) -> int | None:
    """Return the number from 0 to ``most`` that decimal digits of ASCII write; None for any other text.

    Python's ``int`` raises ValueError for more than 4 300 digits, and reads signs, spaces, ``_`` and other digits.
    """
    if not text.isascii() or not text.isdigit():
        return None
    digits = text.lstrip("0") or "0"
    if len(digits) > len(str(most)):
        return None
    number = int(digits)
    return number if number <= most else None
