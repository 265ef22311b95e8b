"""Paths as programs register them and as clients ask for them, in one spelling for each meaning."""

from __future__ import annotations

from contextlib import suppress
from re import Match, sub
from re import compile as pattern
from urllib.parse import quote, unquote_to_bytes

__all__ = ["REST", "asked", "check_path", "check_route", "folded", "pattern_of", "written"]

REST = "*"

# Escapes, and characters that a path must not hold unescaped (RFC 3986 section 3.3). Browsers send some of them.
UNUSUAL = pattern(r"%(?:[0-9A-Fa-f]{2})?|[^!$&-;=@-Z_a-z~]")
BEYOND_ASCII = pattern("(?:%[89a-f][0-9a-f])+")
DOTS = pattern(r"(?:\.|%2[eE]){1,2}")
FOREIGN = pattern(r"<(?:\w+:)?(\w*)>|:(\w+)|\{(\w+):[^}]*\}|\[(\w+)\]")
REGULAR = pattern(r"\^|.*(\.[*+]|\(\?|\\[dDwWsS]|\[\^|\[0-9\]|\[a-z)")


def asked(path: str) -> str:
    """Return the path of a request in the form in which paths are compared, one character for each byte."""
    return sub(UNUSUAL, lambda match: escaped(match, "latin-1"), path) if UNUSUAL.search(path) else path


def written(path: str) -> str:
    """Return a path from a program in the form in which paths are compared."""
    return sub(UNUSUAL, lambda match: escaped(match, "utf-8"), path) if UNUSUAL.search(path) else path


def escaped(match: Match[str], encoding: str) -> str:
    text = match[0]
    return text.upper() if len(text) == 3 else "".join(f"%{byte:02X}" for byte in text.encode(encoding, "replace"))


def folded(path: str) -> str:
    """Return a path in that form without the case of its letters."""
    return sub(BEYOND_ASCII, folded_escapes, path.lower())


def folded_escapes(match: Match[str]) -> str:
    with suppress(UnicodeDecodeError):
        return quote(unquote_to_bytes(match[0]).decode().lower()).lower()
    return match[0]


def check_path(path: object) -> str:
    """Return a path that is registered as it is compared, ``{name}`` segments as they are.

    Raises:
        TypeError: For a path that is not a str.
        ValueError: For a path that no client can ask for, or that means something else than it seems to.
    """
    if path == REST:
        return REST
    segments = check_route(path)
    assert isinstance(path, str)
    for number, segment in enumerate(segments):
        foreign = FOREIGN.fullmatch(segment)
        if foreign is not None:
            name = next(filter(None, foreign.groups()), "name")
            right = "/".join([*segments[:number], f"{{{name}}}", *segments[number + 1 :]])
            raise ValueError(f"a parameter is written {{{name}}}: {right!r} instead of {path!r}")
        if segment in ("*", "**"):
            right = "/".join([*segments[:number], "{name}", *segments[number + 1 :]])
            raise ValueError(
                f"'*' stands alone, for any path not registered; one segment is {{name}}: {right!r} instead of {path!r}"
            )
    if "{" not in path and "}" not in path:
        return written(path)
    return "/".join(segment if is_name(segment) else written(segment) for segment in pattern_of(path))


def check_route(path: object) -> list[str]:
    """Return the segments of a path, after a check of all but its parameters.

    Raises:
        TypeError: For a path that is not a str.
        ValueError: For a path that no client can ask for.
    """
    if not isinstance(path, str):
        raise TypeError(f"a path is a str, not {type(path).__name__}")
    check_form(path)
    segments = path.split("/")
    check_dots(path, segments)
    return segments


def check_form(path: str) -> None:
    """Check the beginning, the end and the characters of a path."""
    if REGULAR.match(path):
        raise ValueError(
            f"a path begins with '/' and is not a regular expression; use {{name}} for a segment: {path!r}"
        )
    if path != path.strip() or any(ord(letter) < 32 or ord(letter) == 127 for letter in path):
        right = "".join(letter for letter in path if ord(letter) >= 32 and ord(letter) != 127).strip()
        raise ValueError(f"a path begins with '/' and has no space around it: {right!r} instead of {path!r}")
    if any(0xD800 <= ord(letter) < 0xE000 for letter in path):
        raise ValueError(f"a path has no lone surrogates: {path!r}")
    if not path.startswith("/") or "?" in path or "#" in path:
        raise ValueError(f"a path begins with '/' and has no '?' or '#': {right_form(path)!r} instead of {path!r}")
    if "\\" in path:
        right = path.replace("\\", "/")
        raise ValueError(f"browsers make '/' of a backslash in a path: {right!r} instead of {path!r}")


def right_form(path: str) -> str:
    """Return the path in a text that was given instead of one, such as a URL."""
    scheme, mark, rest = path.partition("://")
    if mark and scheme.isalnum():
        path = f"/{rest.partition('/')[2]}"
    path = path.partition("#")[0].partition("?")[0]
    return path if path.startswith("/") else f"/{path}"


def check_dots(path: str, segments: list[str]) -> None:
    """Check that there are no segments that clients resolve before they ask (RFC 3986 section 5.2.4)."""
    if not any(DOTS.fullmatch(segment) for segment in segments):
        return
    kept: list[str] = []
    for segment in segments[1:]:
        dots = DOTS.fullmatch(segment)
        if dots is None:
            kept.append(segment)
        elif len(segment.lower().replace("%2e", ".")) == 2:
            del kept[-1:]
    if DOTS.fullmatch(segments[-1]):
        kept.append("")
    right = "/" + "/".join(kept)
    raise ValueError(f"no client asks for a path with '.' or '..' in it: {right!r} instead of {path!r}")


def is_name(segment: str) -> bool:
    return segment.startswith("{")


def pattern_of(path: str) -> tuple[str, ...]:
    """Return the segments of a path with parameters.

    Raises:
        ValueError: For parameters that are not as they should be.
    """
    segments = tuple(path.split("/"))
    names = [segment[1:-1] for segment in segments if segment.startswith("{") and segment.endswith("}")]
    if sum(segment.count("{") + segment.count("}") for segment in segments) != 2 * len(names):
        raise ValueError(f"a parameter is a whole segment, such as /rooms/{{room}}: {path!r}")
    if not all(name.isidentifier() for name in names) or len(set(names)) < len(names):
        raise ValueError(f"the names of parameters are different identifiers: {path!r}")
    return segments
