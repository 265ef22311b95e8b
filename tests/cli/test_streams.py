"""Standard streams that nobody reads."""

import io
import os
from pathlib import Path

from wsframe.cli.streams import print_line


def test_a_line_is_printed_at_once() -> None:
    stream = io.StringIO()
    assert print_line("hello", stream)
    assert stream.getvalue() == "hello\n"


def test_a_reader_that_has_gone_costs_the_line_and_the_rest_goes_nowhere() -> None:
    reading, writing = os.pipe()
    os.close(reading)
    with os.fdopen(writing, "w") as stream:
        assert not print_line("hello", stream)
        assert print_line("into nothing", stream)


def test_a_stream_that_is_closed_costs_the_line(tmp_path: Path) -> None:
    with (tmp_path / "out").open("w") as stream:
        pass
    assert not print_line("hello", stream)
