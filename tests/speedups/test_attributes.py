"""A rename in Python that the C code does not know is an ImportError, not a slow server."""

from __future__ import annotations

import pytest

from wsframe.connection.link import Link
from wsframe.connection.reactor import READ_BY_C
from wsframe.speedups import check_attributes

pytestmark = pytest.mark.usefixtures("in_c")


def test_the_attributes_are_there() -> None:
    check_attributes(READ_BY_C)


def test_a_renamed_attribute_is_an_import_error() -> None:
    renamed = {**READ_BY_C, Link: READ_BY_C[Link].replace("buckets", "pails")}
    with pytest.raises(ImportError, match=r"reads Link\.pails"):
        check_attributes(renamed)


def test_an_attribute_that_c_reads_unannounced_is_an_import_error() -> None:
    forgotten = {**READ_BY_C, Link: READ_BY_C[Link].replace("buckets", "")}
    with pytest.raises(ImportError, match="differ in buckets"):
        check_attributes(forgotten)
