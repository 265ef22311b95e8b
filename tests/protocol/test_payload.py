"""Payloads become bytes that cannot change and have the length they say."""

import pytest

from wsframe.protocol.payload import BINARY_TYPES, bytes_of


class Liar(bytes):
    """Says another length than it has, and shows another buffer."""

    def __len__(self) -> int:
        return 1

    def __bytes__(self) -> bytes:
        return b"another"

    def __getitem__(self, at: object) -> bytes:  # type: ignore[override]
        return b"another"


class ByteArrayLiar(bytearray):
    """The same of a bytearray."""

    def __getitem__(self, at: object) -> bytearray:  # type: ignore[override]
        return bytearray(b"another")


def test_bytes_are_taken_as_they_are() -> None:
    payload = b"abc" * 100
    assert bytes_of(payload, BINARY_TYPES) is payload


@pytest.mark.parametrize("given", [bytearray(b"abc"), memoryview(b"abc"), Liar(b"abc"), ByteArrayLiar(b"abc")])
def test_anything_else_is_copied_without_asking_it(given: bytes) -> None:
    made = bytes_of(given, BINARY_TYPES)
    assert (type(made), made) == (bytes, b"abc")


def test_what_changes_afterwards_changes_nothing() -> None:
    given = bytearray(b"abc")
    made = bytes_of(given, BINARY_TYPES)
    given[:] = b"xyz"
    assert made == b"abc"


@pytest.mark.parametrize("given", ["abc", None, 3, [97]])
def test_another_type_is_refused_and_named(given: object) -> None:
    with pytest.raises(TypeError, match=type(given).__name__):
        bytes_of(given, BINARY_TYPES)
