"""The URL of an engine, taken apart so that no part of a password can stand where it would be shown.

A password with an unencoded ``/``, ``?``, ``#`` or ``@`` moves the parts of a URL: the text after it becomes a host, a
path or an option, and these stand in log lines.
"""

from __future__ import annotations

from urllib.parse import SplitResult, urlsplit

__all__ = ["ENCODED", "one_line", "split_url"]

ENCODED = "write / ? # @ and % in a password as %2F %3F %23 %40 and %25"


def split_url(url: str) -> SplitResult:
    """Take a URL apart.

    Raises:
        ValueError: Without a text, for one that cannot be read, or that has an ``@`` in another place than between
            the password and the host, or control characters.
    """
    parts = urlsplit(url)
    elsewhere = (parts.path, parts.query, parts.fragment)
    if parts.netloc.count("@") > 1 or any("@" in part for part in elsewhere):
        raise ValueError
    if any(ord(character) < 32 or ord(character) == 127 for character in url):
        raise ValueError
    return parts


def one_line(text: str) -> str:
    """Return a library's text as one line; passwords are taken out before, because they can have spaces."""
    return " ".join(text.split())
