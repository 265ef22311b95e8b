"""Paths as programs register them and as clients ask for them, in one spelling for each meaning."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from re import Match, sub
from re import compile as pattern
from urllib.parse import quote, unquote_to_bytes

__all__ = [
    "REST",
    "check_path",
    "check_route",
    "folded",
    "is_name",
    "normalized_program_path",
    "normalized_request_path",
    "with_other_slashes",
]

REST = "*"

# Escapes, and characters that a path must not hold unescaped (RFC 3986 section 3.3). Browsers send some of them.
UNUSUAL = pattern(r"%(?:[0-9A-Fa-f]{2})?|[^!$&-;=@-Z_a-z~]")
BEYOND_ASCII = pattern("(?:%[89a-f][0-9a-f])+")
DOTS = pattern(r"(?:\.|%2[eE]){1,2}")
# Segments that are parameters for other frameworks, and those in braces whose name is not one.
FOREIGN = pattern(r"<(?:\w+:)?(\w*)>|:(\w+)[?*+]?|\[+\.*(\w+)\]+|\$?\{\W*([\w-]*)(?::[^}]*|\W*)\}")
FOREIGN_NAME = pattern(r"^[^{]|[*:.+]")
IDENTIFIERS = "the names of parameters are different identifiers"
WORD = pattern(r"(\w+)")
IN_BRACES = pattern(r"\{[^{}]*\}")
REGULAR = pattern(r"\^|.*(\.[*+]|\(\?|\\[dDwWsS]|\[\^|\[0-9\]|\[a-z)")


def normalized_request_path(path: str) -> str:
    """Return the path of a request in the form in which paths are compared, one character for each byte."""
    return sub(UNUSUAL, lambda match: escaped(match, "latin-1"), path) if UNUSUAL.search(path) else path


def normalized_program_path(path: str) -> str:
    """Return a path from a program in the form in which paths are compared."""
    return sub(UNUSUAL, lambda match: escaped(match, "utf-8"), path) if UNUSUAL.search(path) else path


def escaped(match: Match[str], encoding: str) -> str:
    text = match[0]
    return text.upper() if len(text) == 3 else "".join(f"%{byte:02X}" for byte in text.encode(encoding, "replace"))


def with_other_slashes(path: str) -> tuple[str, str]:
    """Return a path without and with a slash at its end, and without empty segments."""
    bare = "/" + "/".join(filter(None, path.split("/")))
    return bare, bare + "/"


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
        ValueError: For a path that no client can ask for, or that means something else than it seems to; it shows
            a path that is accepted, where one can be guessed.
    """
    text = check_type(path)
    if text == REST:
        return REST
    check_for_faults(text, lambda path: fault_of_route(path) or fault_of_parameters(path))
    if "{" not in text:
        return normalized_program_path(text)
    return "/".join(segment if is_name(segment) else normalized_program_path(segment) for segment in text.split("/"))


def check_route(path: object) -> str:
    """Return a path, after a check of all but its parameters.

    Raises:
        TypeError: For a path that is not a str.
        ValueError: For a path that no client can ask for.
    """
    text = check_type(path)
    check_for_faults(text, fault_of_route)
    return text


def check_type(path: object) -> str:
    if not isinstance(path, str):
        raise TypeError(f"a path is a str, not {type(path).__name__}")
    return path


Fault = tuple[str, str | None]
"""The rule that a path breaks, and a better path; that can break another one."""


def check_for_faults(path: str, find: Callable[[str], Fault | None]) -> None:
    fault = find(path)
    if fault is None:
        return
    rule, right = fault
    while right is not None and (worse := find(right)) is not None:
        _, right = worse
    raise ValueError(f"{rule}: {path!r}" if right is None else f"{rule}: {right!r} instead of {path!r}")


def fault_of_parameters(path: str) -> Fault | None:
    """Find a segment that looks like a parameter and is none, or one whose name another has."""
    segments, names = path.split("/"), set[str]()
    for number, segment in enumerate(segments):
        name, rule = name_in(segment), ""
        if segment in ("*", "**"):
            name, rule = "name", "'*' stands alone, for any path not registered; one segment is {name}"
        elif name is None:
            continue
        elif "{" in segment and not (segment.startswith("{") and segment.endswith("}")):
            rule = "a parameter is a whole segment, such as /rooms/{room}"
        elif "?" in segment:
            rule = f"a parameter is written {{{name}}}, and none is optional"
        elif segment != f"{{{name}}}":
            rule = f"a parameter is written {{{name}}}" if FOREIGN_NAME.search(segment) else IDENTIFIERS
        elif name in names:
            name, rule = f"{name}_{number}", IDENTIFIERS
        if rule:
            return rule, "/".join([*segments[:number], f"{{{name}}}", *segments[number + 1 :]])
        names.add(name)
    return None


def name_in(segment: str) -> str | None:
    """Return a name for a segment that is a parameter, or looks like one; None for others."""
    if "{" not in segment and "}" not in segment and not FOREIGN.fullmatch(segment):
        return None
    found = FOREIGN.search(segment) or WORD.search(segment)
    name = next(filter(None, found.groups()), "name").replace("-", "_") if found is not None else "name"
    return name if name.isidentifier() else f"name_{name}"


def fault_of_route(path: str) -> Fault | None:
    """Find another fault of a path: in its beginning, its end, its characters or its dots."""
    if REGULAR.match(path):
        return "a path begins with '/' and is not a regular expression; use {name} for a segment", None
    if path != path.strip() or any(ord(letter) < 32 or ord(letter) == 127 for letter in path):
        right = "".join(letter for letter in path if ord(letter) >= 32 and ord(letter) != 127).strip()
        return "a path begins with '/' and has no space around it", right
    if any(0xD800 <= ord(letter) < 0xE000 for letter in path):
        return "a path has no lone surrogates", None
    if not path.startswith("/") or not {"?", "#"}.isdisjoint(sub(IN_BRACES, "", path)):
        return "a path begins with '/' and has no '?' or '#'", right_form(path)
    if "\\" in path:
        return "browsers make '/' of a backslash in a path", path.replace("\\", "/")
    return fault_of_dots(path)


def right_form(path: str) -> str:
    """Return the path in a text that was given instead of one, such as a URL."""
    scheme, mark, rest = path.partition("://")
    if mark and scheme.isalnum():
        path = f"/{rest.partition('/')[2]}"
    path = path.partition("#")[0].partition("?")[0]
    return path if path.startswith("/") else f"/{path}"


def fault_of_dots(path: str) -> Fault | None:
    """Find segments that clients resolve before they ask (RFC 3986 section 5.2.4)."""
    segments = path.split("/")
    if not any(DOTS.fullmatch(segment) for segment in segments):
        return None
    kept: list[str] = []
    for segment in segments[1:]:
        dots = DOTS.fullmatch(segment)
        if dots is None:
            kept.append(segment)
        elif len(segment.lower().replace("%2e", ".")) == 2:
            del kept[-1:]
    if DOTS.fullmatch(segments[-1]):
        kept.append("")
    return "no client asks for a path with '.' or '..' in it", "/" + "/".join(kept)


def is_name(segment: str) -> bool:
    return segment.startswith("{")
