"""Lines that are typed, piped or given as JSON, and the output then."""

import os
from collections.abc import AsyncGenerator

import pytest

from wsframe.cli.chat import Binary, Close, Ping, Saying, Text
from wsframe.cli.errors import Failure, Mistake
from wsframe.cli.input_lines import HELP, lines_of, said_in_json, said_typed, sayings_of

TYPED: dict[str, Saying | None] = {
    "": None,
    "hello": Text("hello"),
    " /text": Text(" /text"),
    "/text /close": Text("/close"),
    "/text": Text(""),
    "/binary 00 ff": Binary(b"\x00\xff"),
    "/binary": Binary(b""),
    "/ping": Ping(b""),
    "/ping hello": Ping(b"hello"),
    "/close": Close(1000, ""),
    "/close 4000": Close(4000, ""),
    "/close 4000 good bye": Close(4000, "good bye"),
}


@pytest.mark.parametrize("line", TYPED)
def test_what_is_typed(line: str) -> None:
    said = said_typed(line)
    assert (type(said), said) == (type(TYPED[line]), TYPED[line])


BADLY_TYPED = {
    "/help": HELP,
    "/quit": "unknown command /quit: see /help",
    "/binary xx": "'xx' is not hexadecimal: give two digits for each byte, such as 00ff",
    "/ping " + "x" * 126: "the text of a ping must be at most 125 bytes",
    "/close 1006": "1006 is not a close code that can be sent: use 1000, or 3000 to 4999",
    "caf\udce9": "'caf\\udce9' cannot be encoded in UTF-8",
    "/close soon": "'soon' is not a close code that can be sent: use 1000, or 3000 to 4999",
}


@pytest.mark.parametrize("line", BADLY_TYPED)
def test_what_cannot_be_said(line: str) -> None:
    with pytest.raises(Mistake) as raised:
        said_typed(line)
    assert str(raised.value) == BADLY_TYPED[line]


IN_JSON: dict[str, Saying] = {
    '{"type": "text", "data": "a\\nb"}': Text("a\nb"),
    '{"type": "text"}': Text(""),
    '{"type": "binary", "data": "AP8="}': Binary(b"\x00\xff"),
    '{"type": "ping"}': Ping(b""),
    '{"type": "ping", "data": "x"}': Ping(b"x"),
    '{"type": "close"}': Close(1000, ""),
    '{"type": "close", "code": 4000, "reason": "bye"}': Close(4000, "bye"),
}


@pytest.mark.parametrize("line", IN_JSON)
def test_what_is_said_in_json(line: str) -> None:
    said = said_in_json(line)
    assert (type(said), said) == (type(IN_JSON[line]), IN_JSON[line])


@pytest.mark.parametrize(
    "line",
    [
        "", "hello", "[]", "{}", '{"type": "pong"}', '{"type": "text", "data": 1}', '{"type": "binary", "data": "?"}',
        '{"type": "ping", "data": 1}', '{"type": "close", "code": 1}', '{"type": "close", "code": "1000"}',
        '{"type": "close", "reason": 1}', '{"type": ["text"]}',
        '{"type": "text", "data": "\\ud800"}', '{"type": "ping", "data": "\\ud800"}', '{"type": "close", "code": true}',
        '{"type": "close", "reason": "\\ud800"}', "[" * 100_000,
    ],
)  # fmt: skip
def test_json_that_says_nothing(line: str) -> None:
    with pytest.raises(Mistake):
        said_in_json(line)


async def lines_in(*writes: bytes) -> list[str]:
    reading, writing = os.pipe()
    for data in writes:
        os.write(writing, data)
    os.close(writing)
    try:
        return [line async for line in lines_of(reading)]
    finally:
        os.close(reading)


async def test_lines_of_a_pipe() -> None:
    assert await lines_in() == []
    assert await lines_in(b"one\n", b"t", b"wo\n\nth", b"ree") == ["one", "two", "", "three"]
    assert await lines_in("h\N{LATIN SMALL LETTER E WITH ACUTE}\r\n".encode()) == [
        "h\N{LATIN SMALL LETTER E WITH ACUTE}\r"
    ]


async def test_a_line_that_is_not_utf_8_ends_it() -> None:
    with pytest.raises(Failure, match="line 2 of the input is not UTF-8"):
        await lines_in(b"one\n\xff\n")


async def test_what_cannot_be_said_is_complained_of_and_the_rest_is_said() -> None:
    async def lines() -> AsyncGenerator[str, None]:
        for line in ("one", "/nothing", "", "two"):
            yield line

    complaints: list[Mistake] = []
    assert [said async for said in sayings_of(lines(), said_typed, complaints.append)] == [Text("one"), Text("two")]
    assert [str(complaint) for complaint in complaints] == ["unknown command /nothing: see /help"]
