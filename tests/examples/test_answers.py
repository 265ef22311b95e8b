"""Streamed answers: in memory with a model that the test drives."""

from __future__ import annotations

import json
import runpy
from collections.abc import AsyncIterator
from typing import Any

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

import wsframe
from tests.examples.running import EXAMPLES
from wsframe.testing import MemoryClient, open_client


class Model:
    """Recites without end, and notes which questions have ended."""

    def __init__(self) -> None:
        self.ended: list[str] = []

    async def __call__(self, question: str) -> AsyncIterator[str]:
        try:
            for number in range(1_000_000):
                await trio.sleep(1)
                if question == "fail":
                    raise ValueError("no answer")
                yield f"{question}{number} "
        finally:
            self.ended.append(question)


@pytest.fixture
def example() -> Any:
    made = runpy.run_path(str(EXAMPLES / "answers.py"))
    wsframe.unregister_global_resource("/answers")
    for path in ("/", "/wsframe.js"):
        wsframe.unregister_global_route(path)
    return made


def answers(example: Any, model: Model) -> Any:
    async def stream(question: str) -> AsyncIterator[str]:
        async for word in model(question):
            yield word

    return example["Answers"](stream)


def ask(client: MemoryClient, number: int, question: str) -> None:
    client.send_text(json.dumps({"ask": question, "id": number}))


async def receive(client: MemoryClient) -> Any:
    return json.loads(await client.receive_text())


async def test_an_answer_comes_word_by_word_and_ends(example: Any, autojump_clock: MockClock) -> None:
    async with open_client(example["Answers"]()) as client:
        ask(client, 7, "Why?")
        words = []
        while "word" in (message := await receive(client)):
            assert message["id"] == 7
            words.append(message["word"])
        assert message == {"id": 7, "end": "done"}
        assert "".join(words).startswith("A good question. You asked: Why? ")


async def test_a_cancelled_answer_ends_and_others_go_on(example: Any, autojump_clock: MockClock) -> None:
    model = Model()
    async with open_client(answers(example, model)) as client:
        ask(client, 1, "a")
        ask(client, 2, "b")
        assert {(await receive(client))["id"] for _ in range(2)} == {1, 2}
        client.send_text('{"cancel": 1}')
        while (message := await receive(client)) != {"id": 1, "end": "cancelled"}:
            assert "word" in message
        assert model.ended == ["a"]
        assert {(await receive(client))["id"] for _ in range(3)} == {2}


async def test_the_end_of_a_client_ends_its_answers(example: Any, autojump_clock: MockClock) -> None:
    model = Model()
    async with open_client(answers(example, model)) as client:
        ask(client, 1, "a")
        await receive(client)
        client.reset()
        await wait_all_tasks_blocked()
        assert model.ended == ["a"]


async def test_a_client_has_only_so_many_answers_at_a_time(example: Any, autojump_clock: MockClock) -> None:
    async with open_client(answers(example, Model())) as client:
        for number in range(example["MOST_AT_ONCE"] + 1):
            ask(client, number, "a")
        while "end" not in (message := await receive(client)):
            pass
        assert message == {"id": example["MOST_AT_ONCE"], "end": "busy"}


async def test_a_model_that_fails_is_told(example: Any, autojump_clock: MockClock) -> None:
    async with open_client(answers(example, Model())) as client:
        ask(client, 1, "fail")
        assert await receive(client) == {"id": 1, "end": "failed"}
