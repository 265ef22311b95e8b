"""Asks a client something over its own connection and waits for the answer, three seconds at most.

Run it with ``wsframe serve examples/questions.py``, and talk to it from two terminals:
``python -m websockets "ws://127.0.0.1:8000/?name=ann"``, and the same as bob. Ann sends
``{"type": "ask", "to": "bob", "question": "tea?"}``, bob gets the question with a number, and his
``{"type": "answer", "id": 1, "answer": "yes"}`` is what the server was waiting for.
"""

from contextlib import suppress
from itertools import count
from typing import TypeAlias

import trio
from msgspec import Struct

from wsframe import Client, JSONResource, register_global_resource

Unanswered: TypeAlias = dict[int, trio.MemorySendChannel[str]]


class Ask(Struct, tag="ask"):
    """Has somebody asked a question."""

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
    """What came of a question: None for no answer in time."""

    question: str
    answer: str | None


class Questions(JSONResource[Unanswered]):
    """Questions wait in tasks of those who ask: a hook that waited would keep the answer from coming.

    ``client.data`` are the questions that the client has not answered yet.
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
            if waiting is not None:  # else it comes too late, twice, or to what was never asked
                waiting.send_nowait(message.answer)
        elif not client.start_soon(self.relay, client, message):
            client.close(1008, "too many questions at once")

    async def relay(self, client: Client[Unanswered], ask: Ask) -> None:
        asked = [other for other in self.clients if other.request.query.get("name") == [ask.to]]
        answer = await self.ask(asked[0], ask.question) if asked else None
        client.send_json(Outcome(ask.question, answer))

    async def ask(self, client: Client[Unanswered], question: str) -> str | None:
        """Ask a client; return its answer, or None if there is none in time. For tasks."""
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
            waiting.close()  # the end of the channel: nobody has to wait for who has left


register_global_resource("/", Questions())
