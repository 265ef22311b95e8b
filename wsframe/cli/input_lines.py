"""Turn input into messages and frames: lines typed at a terminal, lines of a pipe, lines of JSON."""

from __future__ import annotations

import json
import os
from base64 import b64decode
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing

import trio

from wsframe.cli.chat import Binary, Close, Ping, Saying, Sayings, Text
from wsframe.cli.errors import Failure, Mistake
from wsframe.digits import whole_number
from wsframe.log import quoted
from wsframe.protocol.close import check_close_code

__all__ = ["HELP", "lines_of", "said_in_json", "said_typed", "sayings_of"]

MOST_CODES = 65535  # in the two bytes of a close frame
HELP = """\
each line is sent as a text message; the commands are
  /text TEXT            send TEXT, which can begin with a slash
  /binary HEX           send bytes, such as 00ff
  /ping [TEXT]          send a ping and show how long the pong takes
  /close [CODE [TEXT]]  close, by default with 1000; Ctrl-D does the same
  /help                 show this help"""


def said_typed(line: str) -> Saying | None:
    """Read a line typed at a terminal; return None for an empty line.

    Raises:
        Mistake: For an unknown command, or wrong arguments.
    """
    if not line.startswith("/"):
        return text_of(line) if line else None
    command, _, argument = line[1:].partition(" ")
    if command == "text":
        return text_of(argument)
    if command == "binary":
        return Binary(bytes_from(argument))
    if command == "ping":
        return Ping(payload_of(argument))
    if command == "close":
        code, _, reason = argument.strip().partition(" ")
        number = whole_number(code, MOST_CODES)
        return close_of((code or 1000) if number is None else number, reason)
    raise Mistake(HELP if command == "help" else f"unknown command /{command}: see /help")


def text_of(text: str) -> Text:
    try:
        text.encode()
    except UnicodeEncodeError:  # from a terminal of another encoding, or from an escape in JSON
        raise Mistake(f"{text[:40]!r} cannot be encoded in UTF-8") from None
    return Text(text)


def bytes_from(text: str) -> bytes:
    try:
        return bytes.fromhex(text)
    except ValueError:
        raise Mistake(f"{text!r} is not hexadecimal: give two digits for each byte, such as 00ff") from None


def payload_of(text: object) -> bytes:
    payload = text_of(text).encode() if isinstance(text, str) else bytes(126)
    if len(payload) > 125:
        raise Mistake("the text of a ping must be at most 125 bytes")
    return payload


def close_of(code: object, reason: object) -> Close:
    if not isinstance(code, int) or not may_be_sent(code):
        raise Mistake(f"{quoted(code)} is not a close code that can be sent: use 1000, or 3000 to 4999")
    if not isinstance(reason, str):
        raise Mistake("the reason of a close frame must be text")
    return Close(code, text_of(reason))


def may_be_sent(code: int) -> bool:
    try:
        check_close_code(code)
    except (TypeError, ValueError):  # TypeError for a bool
        return False
    return True


def said_in_json(line: str) -> Saying | None:
    """Read a line of JSON in the same form as ``--json`` prints.

    Raises:
        Mistake: For any other line.
    """
    try:
        found = json.loads(line)
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, dict):
        raise Mistake(f"{line[:40]!r} is not a JSON object")
    kind, data = found.get("type"), found.get("data", "")
    if kind == "text" and isinstance(data, str):
        return text_of(data)
    if kind == "binary" and isinstance(data, str):
        try:
            return Binary(b64decode(data, validate=True))
        except ValueError:
            raise Mistake(f"{data[:40]!r} is not base64") from None
    if kind == "ping":
        return Ping(payload_of(data))
    if kind == "close":
        return close_of(found.get("code", 1000), found.get("reason", ""))
    raise Mistake(f"{line[:40]!r}: type must be text, binary, ping or close, and data must be text")


async def lines_of(fd: int) -> AsyncGenerator[str, None]:
    """Yield the lines of a file, pipe or terminal, without their line feeds.

    A thread reads, because trio cannot wait for a file. It reads from the descriptor, because
    a buffer in which a thread still waits cannot be closed when the interpreter ends.
    """
    waiting, number = b"", 0
    while data := await trio.to_thread.run_sync(os.read, fd, 65536, abandon_on_cancel=True):
        *lines, waiting = (waiting + data).split(b"\n")
        for line in lines:
            number += 1
            yield decoded(line, number)
    if waiting:
        yield decoded(waiting, number + 1)


def decoded(line: bytes, number: int) -> str:
    try:
        return line.decode()
    except UnicodeDecodeError:
        raise Failure(f"line {number} of the input is not UTF-8") from None


async def sayings_of(
    lines: AsyncGenerator[str, None], read: Callable[[str], Saying | None], complain: Callable[[Mistake], None]
) -> Sayings:
    """Yield the messages and frames of lines; report wrong lines to ``complain``."""
    async with aclosing(lines):
        async for line in lines:
            try:
                saying = read(line)
            except Mistake as mistake:
                complain(mistake)
                continue
            if saying is not None:
                yield saying
