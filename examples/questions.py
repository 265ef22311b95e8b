"""Ask a client a question over its own connection, and wait at most three seconds for the answer.

Run it with ``wsframe serve examples/questions.py``, and talk to it from two terminals:
``python -m websockets "ws://127.0.0.1:8000/?name=ann"``, and the same as bob. Ann sends
``{"type": "ask", "to": "bob", "question": "tea?"}``, bob gets the question with a number, and his
``{"type": "answer", "id": 1, "answer": "yes"}`` is the answer that the server waits for.
"""

from contextlib import suppress
from itertools import count
from typing import TypeAlias

import trio
from msgspec import Struct

from wsframe import Client, JSONResource, register_global_resource

Unanswered: TypeAlias = dict[int, trio.MemorySendChannel[str]]


class Ask(Struct, tag="ask"):
    """Asks another client a question."""

    to: str
    question: str


class Answer(Struct, tag="answer"):
    """Answers the question with this number."""

    id: int
    answer: str


class Question(Struct, tag="question"):
    """Waits for an Answer with its number."""

    id: int
    question: str


class Outcome(Struct, tag="outcome"):
    """The result of a question; None if there was no answer in time."""

    question: str
    answer: str | None


class Questions(JSONResource[Unanswered]):
    """Questions wait in tasks of the asking clients: a waiting hook would block the hook for the answer.

    ``client.data`` holds the questions that the client has not answered yet.
    """

    sends = Question | Outcome

    def __init__(self, patience: float = 3) -> None:
        self.patience = patience
        self.numbers = count(1)

    async def client_connected(self, client: Client[Unanswered]) -> None:
        client.data = {}

    async def received_json(self, client: Client[Unanswered], message: Ask | Answer) -> None:
        if isinstance(message, Answer):
            waiting = client.data.pop(message.id, None)
            if waiting is not None:  # else the answer is late, repeated, or to an unknown question
                waiting.send_nowait(message.answer)
        elif not client.start_soon(self.relay, client, message):
            client.close(1008, "too many questions at once")

    async def relay(self, client: Client[Unanswered], ask: Ask) -> None:
        asked = [other for other in self.clients if other.request.query.get("name") == [ask.to]]
        answer = await self.ask(asked[0], ask.question) if asked else None
        client.send_json(Outcome(ask.question, answer))

    async def ask(self, client: Client[Unanswered], question: str) -> str | None:
        """Ask a client, in a task; return its answer, or None if it does not answer in time."""
        number = next(self.numbers)
        waiting, answer = trio.open_memory_channel[str](1)
        client.data[number] = waiting
        client.send_json(Question(number, question))
        try:
            with trio.move_on_after(self.patience), suppress(trio.EndOfChannel):
                return await answer.receive()
            return None
        finally:
            client.data.pop(number, None)

    async def disconnected(self, client: Client[Unanswered]) -> None:
        for waiting in client.data.values():
            waiting.close()  # ends the channel: askers need not wait for a client that has left


register_global_resource("/", Questions())
