"""A state on its way to another process comes out as it went in, and nothing else is taken for one."""

from __future__ import annotations

import os
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wsframe.workers.state_file import (
    FORMAT,
    BadParcel,
    check_packable,
    open_parcel,
    pack_parcel,
    read_file,
    written_file,
)

few = settings(max_examples=30)
documents = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text() | st.binary(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


@few
@given(documents)
def test_a_document_comes_out_as_it_went_in(document: Any) -> None:
    assert open_parcel(pack_parcel(document)) == document


@pytest.mark.parametrize("document", [{"bytes": 0}, {"object": {}}, {"object": {"bytes": b"\0"}}, [{"bytes": b"x"}]])
def test_text_of_a_client_is_not_taken_for_structure(document: Any) -> None:
    assert open_parcel(pack_parcel(document)) == document


@few
@given(st.binary())
def test_other_bytes_are_refused(data: bytes) -> None:
    with pytest.raises(BadParcel):
        open_parcel(data)


@few
@given(documents, st.data())
def test_a_parcel_that_is_cut_off_or_longer_is_refused(document: Any, data: st.DataObject) -> None:
    whole = pack_parcel(document)
    with pytest.raises(BadParcel):
        open_parcel(whole[: data.draw(st.integers(0, len(whole) - 1))])
    with pytest.raises(BadParcel):
        open_parcel(whole + b"\0")


def test_another_format_is_refused() -> None:
    data = bytearray(pack_parcel(None))
    data[4] = FORMAT + 1
    with pytest.raises(BadParcel, match=f"format {FORMAT + 1} of b'wsfh' is not format {FORMAT}"):
        open_parcel(bytes(data))


@pytest.mark.parametrize("document", [object(), {"deep": [{1, 2}]}, 1j, bytes, [None, object()]])
def test_objects_are_not_packed(document: object) -> None:
    for refuses in (pack_parcel, check_packable):
        with pytest.raises(TypeError, match="cannot be passed to another process"):
            refuses(document)


@pytest.mark.parametrize("document", [{1: "one"}, {"deep": [{None: 0}]}, ({b"": 1},)])
def test_keys_that_would_become_str_are_found(document: object) -> None:
    with pytest.raises(TypeError, match="a key is a str"):
        check_packable(document)


@few
@given(documents)
def test_all_that_comes_out_as_it_went_in_can_be_packed(document: Any) -> None:
    check_packable(document)


@pytest.mark.parametrize("size", [0, 1, 70_000, 3_000_000])
@pytest.mark.parametrize("memory", [True, False])
def test_a_file_has_all_bytes_and_no_name(size: int, memory: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    if not memory:
        monkeypatch.delattr(os, "memfd_create")
    data = os.urandom(size)
    fd = written_file(data)
    try:
        assert read_file(fd) == data
        assert not os.get_inheritable(fd)
        assert os.fstat(fd).st_nlink == 0
    finally:
        os.close(fd)
