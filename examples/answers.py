"""Streamed answers, as of a language model: each word as it comes, several at a time, each can be cancelled.

Run it with ``python examples/answers.py`` or ``wsframe serve examples/answers.py`` and open the address it prints. The
model here only recites; ``recite`` is the place for the stream of a real one.

The page sends ``{"ask": "...", "id": 1}`` and ``{"cancel": 1}``. It receives ``{"id": 1, "word": "..."}`` and, at the
end, ``{"id": 1, "end": "done"}``, or ``"cancelled"`` or ``"failed"``.
"""

import argparse
import json
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing
from pathlib import Path

import trio

import wsframe
from wsframe import Client, Limits, Resource, Server, register_global_resource, register_global_route, static_file

MOST_AT_ONCE = 4
ANSWER = (
    "A good question. You asked: {question} Words come one by one, because a model makes them one by one, and a reader "
    "begins to read with the first. The task that sends them belongs to its client: it ends when the client goes, and "
    "when the client cancels it, so nobody pays for words that nobody reads. Between two words it waits until the "
    "page has taken the first, so a slow page slows down its own answer alone."
)

Model = Callable[[str], AsyncIterator[str]]


async def recite(question: str) -> AsyncIterator[str]:
    """Yield the words of an answer. A real model goes here, such as with ``httpx`` and its ``aiter_lines``."""
    for word in ANSWER.format(question=question).split():
        await trio.sleep(0.04)
        yield f"{word} "


class Answers(Resource[dict[int, trio.CancelScope]]):
    """``client.data`` has the answers that are on their way."""

    limits = Limits(max_message=4096, max_message_rate=5)

    def __init__(self, model: Model = recite) -> None:
        self.model = model

    async def client_connected(self, client: Client[dict[int, trio.CancelScope]]) -> None:
        client.data = {}

    async def received_text(self, client: Client[dict[int, trio.CancelScope]], message: str) -> None:
        asked = json.loads(message)
        if "cancel" in asked:
            scope = client.data.get(asked["cancel"])
            if scope is not None:
                scope.cancel()
        elif len(client.data) >= MOST_AT_ONCE or asked["id"] in client.data:
            client.send_json({"id": asked["id"], "end": "busy"})
        else:
            client.data[asked["id"]] = trio.CancelScope()
            client.start_soon(self.answer, client, asked["id"], str(asked["ask"]))

    async def answer(self, client: Client[dict[int, trio.CancelScope]], number: int, question: str) -> None:
        """Send the words of one answer, until it ends, the client cancels it, or the client goes."""
        end = "failed"
        try:
            with client.data[number] as scope:
                async with aclosing(self.model(question)) as words:  # type: ignore[type-var]
                    async for word in words:
                        client.send_json({"id": number, "word": word})
                        await client.drained()
            end = "cancelled" if scope.cancelled_caught else "done"
        finally:
            del client.data[number]
            client.send_json({"id": number, "end": end})


register_global_resource("/answers", Answers())
register_global_route("/", static_file(Path(__file__).with_name("answers.html")))
register_global_route("/wsframe.js", wsframe.browser_client)


def announce(server: Server) -> None:
    print(f"Answers at http{server.addresses[0].removeprefix('ws')}/", flush=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Stream answers to questions.")
    parser.add_argument("--port", type=int, default=8000, help="0 for a free one (default 8000)")
    wsframe.run(port=parser.parse_args().port, started=announce)
