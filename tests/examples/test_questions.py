"""Questions that the server asks a client and waits for."""

import json
import runpy
from collections.abc import Callable
from typing import Any

import pytest
import trio
from websockets.trio.client import connect as trio_connect
from websockets.trio.connection import Connection

import wsframe
from tests.examples.running import EXAMPLES, example_served
from tests.examples.speaking import open_at, receive, tell
from tests.patience import PATIENCE


def test_an_answer_comes_back_to_who_asked() -> None:
    with (
        example_served("questions.py", "--port", "0") as address,
        open_at(address, "/?name=ann") as ann,
        open_at(address, "/?name=bob") as bob,
    ):
        tell(ann, type="ask", to="bob", question="tea?")
        tell(ann, type="ask", to="bob", question="milk?")
        asked = [receive(bob), receive(bob)]  # by two tasks, in any order
        milk, tea = sorted(asked, key=lambda question: str(question["question"]))
        assert (tea["question"], milk["question"]) == ("tea?", "milk?")
        # Neither the order nor answers to questions that nobody asked bring them out of step.
        tell(bob, type="answer", id=milk["id"], answer="a drop")
        tell(bob, type="answer", id=milk["id"], answer="no, none")
        tell(bob, type="answer", id=1000, answer="maybe")
        tell(bob, type="answer", id=tea["id"], answer="yes")
        outcomes = [receive(ann), receive(ann)]  # again by two tasks
        assert sorted((outcome["question"], outcome["answer"]) for outcome in outcomes) == [
            ("milk?", "a drop"),
            ("tea?", "yes"),
        ]
        assert [outcome["type"] for outcome in outcomes] == ["outcome", "outcome"]
        tell(ann, type="ask", to="nobody", question="who?")
        assert receive(ann) == {"type": "outcome", "question": "who?", "answer": None}


@pytest.fixture
def questions() -> Callable[..., wsframe.Resource]:
    """Give the resource of the example, to be made with other arguments."""
    names = runpy.run_path(str(EXAMPLES / "questions.py"))
    wsframe.unregister_global_resource("/")
    return names["Questions"]  # type: ignore[no-any-return]


async def ask(client: Connection, to: str, question: str) -> None:
    await client.send(json.dumps({"type": "ask", "to": to, "question": question}))


async def outcome(client: Connection) -> Any:
    return json.loads(await client.recv())["answer"]


async def test_without_an_answer_in_time_the_outcome_is_none_and_the_hooks_have_gone_on(
    questions: Callable[..., wsframe.Resource],
) -> None:
    registry = wsframe.Registry()
    registry.register("/", questions(patience=0.2))
    with trio.fail_after(PATIENCE):
        async with (
            wsframe.open_server(registry, port=0) as server,
            trio_connect(f"{server.addresses[0]}/?name=ann", proxy=None) as ann,
            trio_connect(f"{server.addresses[0]}/?name=bob", proxy=None) as bob,
        ):
            await ask(ann, "bob", "well?")
            question = json.loads(await bob.recv())
            await ask(ann, "nobody", "you?")
            assert await outcome(ann) is None, "of the second question, while the first one waits"
            assert await outcome(ann) is None
            await bob.send(json.dumps({"type": "answer", "id": question["id"], "answer": "too late"}))
            await ask(ann, "bob", "still there?")
            question = json.loads(await bob.recv())
            await bob.send(json.dumps({"type": "answer", "id": question["id"], "answer": "yes"}))
            assert await outcome(ann) == "yes"


async def test_who_leaves_answers_no_more_and_is_not_waited_for(questions: Callable[..., wsframe.Resource]) -> None:
    registry = wsframe.Registry()
    registry.register("/", questions(patience=1000))
    with trio.fail_after(PATIENCE):
        async with (
            wsframe.open_server(registry, port=0) as server,
            trio_connect(f"{server.addresses[0]}/?name=ann", proxy=None) as ann,
        ):
            async with trio_connect(f"{server.addresses[0]}/?name=bob", proxy=None) as bob:
                await ask(ann, "bob", "well?")
                await bob.recv()
            assert await outcome(ann) is None


async def test_who_asks_too_much_at_once_is_closed(questions: Callable[..., wsframe.Resource]) -> None:
    registry = wsframe.Registry()
    registry.register("/", questions(patience=1000))
    with trio.fail_after(PATIENCE):
        async with (
            wsframe.open_server(registry, port=0) as server,
            trio_connect(f"{server.addresses[0]}/?name=ann", proxy=None) as ann,
            trio_connect(f"{server.addresses[0]}/?name=bob", proxy=None, max_queue=None),
        ):
            for _ in range(257):
                await ask(ann, "bob", "well?")
            await ann.wait_closed()
            assert (ann.close_code, ann.close_reason) == (1008, "too many questions at once")
