"""A state on its way to another process: JSON and bytes in a file without a name, passed by its descriptor.

A file is never too large for a message, and is never sent in part. It is in memory (``memfd``), or else
an unlinked one. Its bytes::

    magic (4) | format (2, little endian) | mark (16) | length of the JSON (8) | JSON | byte strings, one after another

The JSON is ``[document, bytes of all byte strings]``. A byte string in the document is ``{mark: [start, length]}``. The
mark is random, and no client learns it, so that no text of a client can look like one. Nothing is ever pickled: reading
a parcel runs no code.
"""

from __future__ import annotations

import json
import os
import struct
import tempfile
from collections.abc import Iterable, Mapping
from secrets import token_hex
from typing import Any

__all__ = ["FORMAT", "BadParcel", "check_packable", "open_parcel", "pack_parcel", "read_file", "written_file"]

MAGIC = b"wsfh"
FORMAT = 5
"""The number of the format; a process of another one refuses the parcel."""
FIRST = struct.Struct("<4sH")
HEAD = struct.Struct("<4sH16sQ")
MARK = token_hex(8)
"""The key of byte strings in parcels of this process."""


PLAIN = frozenset((type(None), bool, int, float, str, bytes))
"""The types of values without parts."""


class BadParcel(ValueError):
    """These are not bytes of a parcel, or of one in another format."""


def check_packable(document: object) -> None:
    """Check that a document is one for :func:`pack_parcel`.

    Raises:
        TypeError: If it has any other value, or a key that is not a str.
    """
    if type(document) not in PLAIN:
        check_keys((document,))
        pack_parcel(document)


def pack_parcel(document: object) -> bytes:
    """Return the bytes of a document of None, bool, int, float, str, bytes, lists, tuples and mappings.

    Keys that are not str become str; :func:`check_packable` refuses them.

    Raises:
        TypeError: For any other value.
    """
    pieces: list[bytes] = []
    size = 0

    def written(value: object) -> object:
        """Write a value that JSON does not know."""
        nonlocal size
        if isinstance(value, bytes | bytearray | memoryview):
            piece = bytes(value)
            pieces.append(piece)
            size += len(piece)
            return {MARK: (size - len(piece), len(piece))}
        if isinstance(value, Mapping):
            return dict(value)
        raise TypeError(f"a {type(value).__name__} cannot be passed to another process: return JSON values or bytes")

    text = json.dumps(document, separators=(",", ":"), default=written)
    data = f"[{text},{size}]".encode()
    return b"".join((HEAD.pack(MAGIC, FORMAT, MARK.encode(), len(data)), data, *pieces))


def check_keys(values: Iterable[object]) -> None:
    """Check that all keys are str: JSON would convert others.

    Raises:
        TypeError: If not.
    """
    for value in values:
        if isinstance(value, Mapping):
            for key in value:
                if not isinstance(key, str):
                    raise TypeError(f"a key is a str, not {type(key).__name__}: {key!r}")
            check_keys(value.values())
        elif isinstance(value, list | tuple):
            check_keys(value)


def open_parcel(data: bytes) -> Any:
    """Return the document of a parcel; tuples have become lists.

    Raises:
        BadParcel: If these are not its bytes, or of another format.
    """
    try:
        magic, form = FIRST.unpack_from(data)
        if magic != MAGIC or form != FORMAT:
            raise BadParcel(f"format {form} of {magic!r} is not format {FORMAT} of {MAGIC!r}")
        _, _, mark, size = HEAD.unpack_from(data)
        start, name = HEAD.size + size, mark.decode()

        def read(found: dict[str, Any]) -> object:
            """Read a byte string."""
            if name not in found:
                return found
            at, length = found[name]
            return data[start + at : start + at + length]

        document, length = json.loads(data[HEAD.size : start], object_hook=read)
        if start + length != len(data):
            raise BadParcel(f"a parcel of {start + length} bytes has {len(data)}")
        return document
    except BadParcel:
        raise
    except (struct.error, ValueError, TypeError, KeyError, IndexError, AttributeError, RecursionError) as error:
        raise BadParcel(f"not a parcel: {error}") from error


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
