"""A state on its way to another process: JSON and bytes in a file without a name, passed by its descriptor.

A file has no size at which a message would be refused, and is never sent in part. It is in memory (``memfd``), or else
an unlinked one. Its bytes::

    magic (4) | format (2, little endian) | length of the JSON (8) | JSON | the byte strings, one after another

The JSON is ``[document, [length of each byte string]]``. A byte string in the document is ``{"bytes": index}``, and
an object with keys of its own is ``{"object": {...}}``, so that no text of a client can look like either. Nothing is
ever pickled: reading a parcel runs no code.
"""

from __future__ import annotations

import json
import os
import struct
import tempfile
from collections.abc import Mapping
from typing import Any

__all__ = ["FORMAT", "BadParcel", "opened", "packed", "read_file", "written_file"]

MAGIC = b"wsfh"
FORMAT = 3
"""The number of the format; a process of another one refuses the parcel."""
HEAD = struct.Struct("<4sHQ")


class BadParcel(ValueError):
    """These are not bytes of a parcel, or of one in another format."""


def packed(document: object) -> bytes:
    """Return the bytes of a document of None, bool, int, float, str, bytes, lists, tuples and mappings.

    Raises:
        TypeError: For any other value, or a key that is not a str.
    """
    pieces: list[bytes] = []

    def plain(value: object) -> object:
        if value is None or isinstance(value, bool | int | float | str):
            return value
        if isinstance(value, bytes | bytearray | memoryview):
            pieces.append(bytes(value))
            return {"bytes": len(pieces) - 1}
        if isinstance(value, list | tuple):
            return [plain(one) for one in value]
        if isinstance(value, Mapping):
            for key in value:
                if not isinstance(key, str):
                    raise TypeError(f"a key is a str, not {type(key).__name__}: {key!r}")
            return {"object": {key: plain(one) for key, one in value.items()}}
        raise TypeError(f"a {type(value).__name__} cannot be passed to another process: return JSON values or bytes")

    written = json.dumps([plain(document), [len(piece) for piece in pieces]], separators=(",", ":")).encode()
    return b"".join((HEAD.pack(MAGIC, FORMAT, len(written)), written, *pieces))


def opened(data: bytes) -> Any:
    """Return the document of a parcel; tuples have become lists.

    Raises:
        BadParcel: If these are not its bytes, or of another format.
    """
    try:
        magic, form, size = HEAD.unpack_from(data)
        if magic != MAGIC or form != FORMAT:
            raise BadParcel(f"format {form} of {magic!r} is not format {FORMAT} of {MAGIC!r}")
        at = HEAD.size + size
        document, lengths = json.loads(data[HEAD.size : at])
        pieces = []
        for length in lengths:
            pieces.append(data[at : at + length])
            at += length
        if at != len(data):
            raise BadParcel(f"a parcel of {at} bytes has {len(data)}")
        return unpacked(document, pieces)
    except BadParcel:
        raise
    except (struct.error, ValueError, TypeError, KeyError, IndexError, AttributeError, RecursionError) as error:
        raise BadParcel(f"not a parcel: {error}") from error


def unpacked(value: Any, pieces: list[bytes]) -> Any:
    if isinstance(value, list):
        return [unpacked(one, pieces) for one in value]
    if isinstance(value, dict):
        ((kind, content),) = value.items()
        return pieces[content] if kind == "bytes" else {key: unpacked(one, pieces) for key, one in content.items()}
    return value


def written_file(data: bytes) -> int:
    """Write bytes to a new file without a name; return its descriptor, which belongs to the caller.

    Raises:
        OSError: If there is no room for it, or no descriptor.
    """
    if hasattr(os, "memfd_create"):
        fd = os.memfd_create("wsframe", os.MFD_CLOEXEC)
    else:
        with tempfile.TemporaryFile() as file:
            fd = os.dup(file.fileno())
    try:
        view = memoryview(data)
        at = 0
        while at < len(view):
            at += os.pwrite(fd, view[at:], at)
    except BaseException:
        os.close(fd)
        raise
    return fd


def read_file(fd: int) -> bytes:
    """Return all bytes of a file, wherever its position is."""
    size = os.fstat(fd).st_size
    parts: list[bytes] = []
    at = 0
    while at < size:
        part = os.pread(fd, size - at, at)
        if not part:
            break
        parts.append(part)
        at += len(part)
    return b"".join(parts)
