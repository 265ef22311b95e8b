"""Files as plain HTTP answers: one, or those of a folder.

A file is read in a thread, part by part while its peer takes it, so that one of them is in memory. It
is opened again for each part, so that slow peers hold no descriptors beside their own.
"""

from __future__ import annotations

import errno
import os
import re
import stat
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from mimetypes import MimeTypes
from pathlib import PurePath
from typing import BinaryIO
from urllib.parse import unquote_to_bytes

import trio

from wsframe.http.handler_marks import in_any_worker
from wsframe.http.request import Request
from wsframe.http.responses import FileResponse, HttpHandler, Response, check_field

__all__ = ["static_file", "static_folder"]

MAX_FILE = 1024 * 1024
# Bytes of a file that are read in one step. A file that is not larger is in memory whole.
PART = 64 * 1024
# Threads of one handler that read at the same time. Each reserves up to 136 MB of address space (its
# stack and glibc's arena), and eight of them kill a process that has 260 MB. Two read some 50 MB/s
# and more. Each handler has its own, because a disk that hangs must not stop the others.
READERS = 2

# The standard library's own table and not the machine's, so that a file has the same type everywhere.
TYPES = MimeTypes().types_map[True] | {
    ".avif": "image/avif", ".js": "text/javascript", ".map": "application/json", ".md": "text/markdown",
    ".mjs": "text/javascript", ".wasm": "application/wasm", ".webmanifest": "application/manifest+json",
    ".webp": "image/webp", ".woff": "font/woff", ".woff2": "font/woff2",
}  # fmt: skip

# Another place, drive or stream in some file system; hidden; empty.
UNSAFE = re.compile(r"(\..*|.*[/\\:\x00-\x1f\x7f].*)?", re.DOTALL)
ENTITY_TAG = re.compile(r'(?:W/)?("[^"]*")')

# Errors that any request can cause without a fault of ours.
ABSENT = {
    errno.ENOENT, errno.ENOTDIR, errno.EISDIR, errno.EACCES, errno.EPERM, errno.ELOOP, errno.ENAMETOOLONG, errno.ENXIO,
}  # fmt: skip

# Opening a pipe without a writer would block.
OPEN_FLAGS = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)


def static_file(
    path: str | os.PathLike[str],
    *,
    content_type: str | None = None,
    max_file: int = MAX_FILE,
    cache_control: str | None = "no-cache",
) -> HttpHandler:
    """Make an ``http_handler`` that answers with one file, at the path ``/`` alone.

    Args:
        path: The file; it is read again for each request.
        content_type: Its ``Content-Type``; None goes by its name.
        max_file: Most bytes of the file; default 1 MiB. The answer for a larger one is 500.
        cache_control: The ``Cache-Control``. By default browsers ask each time whether the
            file has changed, and get 304 if it has not. None sends no such field.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: For a limit below 1, or a header field that must not be sent.
    """
    files = Files(max_file, cache_control)
    name = os.path.abspath(path)
    kind = type_of(name) if content_type is None else content_type
    check_field("Content-Type", kind)
    if not os.path.isfile(name):
        raise FileNotFoundError(errno.ENOENT, "no such file", name)
    return handler(
        lambda request: files.answer(request, name, kind) if request.path == "/" else not_found(),
        f"static_file({os.path.basename(name)!r})",
    )


def static_folder(
    path: str | os.PathLike[str],
    *,
    index: str | None = "index.html",
    max_file: int = MAX_FILE,
    cache_control: str | None = "no-cache",
) -> HttpHandler:
    """Make an ``http_handler`` that answers with the files of a folder and of the folders in it.

    The answer for a folder is its index. The answer is 404 for names that begin with a dot, or
    that have a slash, backslash, colon or control character in them when decoded; for the target
    of a symbolic link that leads outside the folder; and for anything but a regular file. All
    users that can write into the folder are trusted.

    Args:
        path: The folder.
        index: Name of the file that answers for a folder; None answers 404 there.
        max_file: Most bytes of a file; default 1 MiB. The answer for a larger one is 500.
        cache_control: As for :func:`static_file`.

    Raises:
        NotADirectoryError: If there is no such folder.
        ValueError: For a limit below 1, or a header field that must not be sent.
    """
    folder = Folder(os.path.abspath(path), index, Files(max_file, cache_control))
    if not os.path.isdir(folder.root):
        raise NotADirectoryError(errno.ENOTDIR, "no such folder", folder.root)
    static = handler(folder.answer, f"static_folder({os.path.basename(folder.root)!r})")
    static.__dict__["answers_below"] = True  # a registry looks here
    return static


def handler(answer: Callable[[Request], Found | Response], name: str) -> HttpHandler:
    """Make a handler for GET and HEAD of a function that finds files; lists of routes show the name."""
    readers = trio.CapacityLimiter(READERS)

    async def read(found: Found, offset: int) -> bytes:
        # A read abandoned at the deadline keeps its place among the readers for as long as the disk hangs.
        return await trio.to_thread.run_sync(found.read, offset, abandon_on_cancel=True, limiter=readers)

    async def static(request: Request) -> Response:
        if request.method not in ("GET", "HEAD"):
            return Response("only GET and HEAD are answered here\n", 405, headers={"Allow": "GET, HEAD"})
        found = await trio.to_thread.run_sync(answer, request, abandon_on_cancel=True, limiter=readers)
        if isinstance(found, Response):
            return found
        return FileResponse(
            found.size, partial(read, found), PART, content_type=found.content_type, headers=found.headers
        )

    static.__qualname__ = name
    return in_any_worker(static)


@dataclass(frozen=True, slots=True)
class Found:
    """A file as it was when a request asked for it."""

    path: str
    tag: str
    size: int
    content_type: str
    headers: list[tuple[str, str]]

    def read(self, offset: int) -> bytes:
        """Read a part.

        Raises:
            OSError: If it cannot be read, or the file has changed in the meantime.
        """
        with open_file(self.path) as file:
            if tag_of(os.fstat(file.fileno())) == self.tag:
                file.seek(offset)
                part = file.read(min(PART, self.size - offset))
                if part:
                    return part
        raise OSError(errno.ESTALE, "changed while it was sent", self.path)


def open_file(path: str) -> BinaryIO:
    return open(path, "rb", buffering=0, opener=lambda name, _: os.open(name, OPEN_FLAGS))


def tag_of(status: os.stat_result) -> str:
    return f'"{status.st_mtime_ns:x}-{status.st_size:x}"'


class Files:
    """Answers with files.

    Args:
        max_file: Most bytes of a file.
        cache_control: The ``Cache-Control``; None sends none.
    """

    def __init__(self, max_file: int, cache_control: str | None) -> None:
        if max_file < 1:
            raise ValueError(f"max_file must be at least 1, not {max_file!r}")
        self._max_file = max_file
        self._fields = [("X-Content-Type-Options", "nosniff")]
        if cache_control is not None:
            check_field("Cache-Control", cache_control)
            self._fields.append(("Cache-Control", cache_control))

    def answer(self, request: Request, path: str, content_type: str) -> Found | Response:
        """Answer with a file; 304 if the peer has it (RFC 9110 section 13.1.2), 404 if there is none.

        Raises:
            OSError: If it cannot be read for a reason on our side, such as its size.
        """
        try:
            with open_file(path) as file:
                status = os.fstat(file.fileno())
                if not stat.S_ISREG(status.st_mode):
                    return not_found()
                tag = tag_of(status)
                # Weak: two writes in one tick of the file system's clock can differ in size alone.
                fields = [("ETag", f"W/{tag}"), *self._fields]
                if has_tag(request, tag):
                    return Response(status=304, headers=fields)
                if status.st_size > self._max_file:
                    raise OSError(errno.EFBIG, "larger than max_file", path)
                found = Found(path, tag, status.st_size, content_type, fields)
                if status.st_size > PART or request.method == "HEAD":
                    return found
                part = file.read(PART)
        except OSError as error:
            if error.errno in ABSENT:
                return not_found()
            raise
        return Response(part, content_type=content_type, headers=fields)


class Folder:
    """The files of a folder, found by the path of a request.

    Args:
        root: Its absolute path.
        index: Name of the file that answers for a folder; None for none.
        files: Makes the answers.
    """

    def __init__(self, root: str, index: str | None, files: Files) -> None:
        self.root = root
        self._index = index
        self._files = files

    def answer(self, request: Request) -> Found | Response:
        """Answer with the file at the path of a request, or a redirect to a folder."""
        names = names_of(request.path)
        if names is None or (self._index is None and not names[-1]):
            return not_found()
        path = self._locate([*names[:-1], names[-1] or self._index or ""])
        if path is None:
            return not_found()
        if names[-1] and self._index is not None and os.path.isdir(path):
            return Response(status=302, headers={"Location": with_slash(request)})
        return self._files.answer(request, path, type_of(path))

    def _locate(self, names: list[str]) -> str | None:
        """Return the path that names lead to, through all links; None if there is none, or it is outside."""
        root = os.path.realpath(self.root)  # now: a new release may be a new link
        try:
            path = os.path.realpath(os.path.join(root, *names), strict=True)
        except ValueError:  # a name that the file system cannot encode
            return None
        except OSError as error:
            if error.errno in ABSENT:
                return None
            raise
        return path if path.startswith(os.path.join(root, "")) else None


def names_of(path: str) -> list[str] | None:
    """Split a path and decode its names, the last one empty for a folder; None if one is unsafe.

    Split first: an encoded slash is part of a name (RFC 3986 section 2.2), and no name has one.
    """
    try:
        first, *names = [unquote_to_bytes(segment).decode() for segment in path.split("/")]
    except UnicodeError:
        return None
    if first or not names or any(UNSAFE.fullmatch(name) for name in (names if names[-1] else names[:-1])):
        return None
    return names


def with_slash(request: Request) -> str:
    """Return a relative redirect to the same path with a slash after it."""
    query = "" if request.query_string is None else f"?{request.query_string}"
    # With the dot no name can be taken for a scheme or a host.
    return f"./{request.path.rpartition('/')[2]}/{query}"


def has_tag(request: Request, tag: str) -> bool:
    known = ",".join(request.headers.getall("if-none-match"))
    return known.strip(" \t") == "*" or tag in ENTITY_TAG.findall(known)


def type_of(path: str) -> str:
    kind = TYPES.get(PurePath(path).suffix.lower(), "application/octet-stream")
    return f"{kind}; charset=utf-8" if kind.startswith("text/") else kind


def not_found() -> Response:
    return Response("not found\n", 404)
