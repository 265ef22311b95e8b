"""Answers to newcomers that do not become clients; ``test_admission.py`` and others have them with sockets."""

from __future__ import annotations

from typing import Any, cast

import pytest

from wsframe import Reject
from wsframe.server.newcomers.answering import Answering, Answers
from wsframe.server.newcomers.newcomer import Newcomer


class Stand:
    """As much of a newcomer as a refusal needs."""

    def __init__(self, *, answered: bool = False) -> None:
        self.answered, self.reset, self.for_page, self.wants_body, self.name = answered, False, False, True, "peer"
        self.transport = self
        self.sent = b""
        self.shut = False

    async def send_all(self, data: bytes) -> None:
        self.sent += data

    def send(self, data: bytes) -> int:
        self.sent += data
        return len(data)

    def shut_sending(self) -> None:
        assert self.sent
        self.shut = True

    async def say_goodbye(self) -> None: ...


async def refused(answering: Answering, stand: Stand, reject: Any = None) -> bytes:
    await answering.refuse(cast(Newcomer, stand), reject or Reject(404, body="nothing"))
    return stand.sent


async def test_a_refusal_is_counted_and_frees_the_place_of_its_newcomer() -> None:
    decided = list[Newcomer]()
    answering = Answering(1, decided.append)
    assert (await refused(answering, Stand())).startswith(b"HTTP/1.1 404")
    assert (answering.refused, len(decided), answering.under_way) == (1, 1, 0)


async def test_nothing_follows_a_101() -> None:
    answering, stand = Answering(1, lambda _: None), Stand(answered=True)
    assert await refused(answering, stand) == b""
    assert stand.reset
    assert answering.refused == 0


async def test_an_answer_that_cannot_be_written_is_a_500() -> None:
    reject = Reject(404)
    reject.headers = [("X", "a\r\nb")]
    assert (await refused(Answering(1, lambda _: None), Stand(), reject)).startswith(b"HTTP/1.1 500")


async def test_12_beyond_the_most_that_are_under_way_nobody_waits_for_a_peer() -> None:
    answering, stand = Answering(0, lambda _: None), Stand()
    assert (await refused(answering, stand)).startswith(b"HTTP/1.1 404")
    assert stand.shut


@pytest.mark.parametrize(
    ("status", "label"), [(101, "101"), (404, "404"), (418, "418"), (444, "other"), (599, "other")]
)
def test_statuses_that_http_does_not_define_count_as_one(status: int, label: str) -> None:
    answers = Answers()
    answers.count(status)
    answers.count(status, page=True)
    assert (answers.handshakes, answers.pages) == ({label: 1}, {label: 1})


def test_peers_that_left_count_among_the_handshakes() -> None:
    answers = Answers()
    answers.left()
    assert (answers.handshakes, answers.pages) == ({"none": 1}, {})
