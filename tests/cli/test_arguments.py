"""The arguments that several commands take: read, or refused with the text that was given."""

from argparse import ArgumentTypeError
from collections.abc import Callable

import pytest

from wsframe.cli.arguments import count, integer, number, or_none, port_number, size, version_numbers


@pytest.mark.parametrize(
    ("read", "text", "value"),
    [
        (port_number, "0", 0), (port_number, "65535", 65535), (count, "12", 12), (integer, "-7", -7),
        (number, "0.25", 0.25), (number, "3", 3.0), (size, "512", 512), (size, "64K", 65536), (size, "1G", 1 << 30),
        (version_numbers, "13", (13,)), (version_numbers, "13,8,7,0", (13, 8, 7, 0)),
        (or_none(size), "none", None), (or_none(size), "2M", 1 << 21),
    ],
)  # fmt: skip
def test_an_argument_is_read(read: Callable[[str], object], text: str, value: object) -> None:
    assert read(text) == value


@pytest.mark.parametrize(
    ("read", "text"),
    [
        (port_number, "65536"), (port_number, "-1"), (port_number, "٣"), (port_number, ""), (count, "-1"),
        (count, "1.5"), (count, "²"), (integer, "1.0"), (integer, "--1"), (number, "1e3"), (number, "nan"),
        (number, "-1"), (number, ".5"), (size, "1k"), (size, "1.5M"), (size, "-1"), (size, "٣K"),
        (size, "none"), (version_numbers, "8"), (version_numbers, "13,6"), (version_numbers, ""),
        (or_none(size), "None"),
    ],
)  # fmt: skip
def test_anything_else_is_refused_and_named(read: Callable[[str], object], text: str) -> None:
    with pytest.raises(ArgumentTypeError) as refused:
        read(text)
    assert repr(text) in str(refused.value)
