"""Tornado; it has no broadcast, so the program sends to each connection in turn."""

from __future__ import annotations

import asyncio

from tornado.web import Application
from tornado.websocket import WebSocketHandler

from benchmarks.servers.terms import BACKLOG, HOST, MAX_MESSAGE, Terms, read_terms

everybody: set[Everybody] = set()


class Echo(WebSocketHandler):
    def on_message(self, message: str | bytes) -> None:
        self.write_message(message, binary=isinstance(message, bytes))


class Everybody(Echo):
    def open(self) -> None:
        everybody.add(self)

    def on_close(self) -> None:
        everybody.discard(self)

    def on_message(self, message: str | bytes) -> None:
        for other in everybody:
            other.write_message(message, binary=isinstance(message, bytes))


async def main(terms: Terms) -> None:
    application = Application(
        [("/echo", Echo), ("/broadcast", Everybody)],
        websocket_max_message_size=MAX_MESSAGE,
        log_function=lambda handler: None,
    )
    application.listen(terms.port, HOST, backlog=BACKLOG, ssl_options=terms.ssl_context())
    await asyncio.Event().wait()


if __name__ == "__main__":
    asked = read_terms()
    asked.run_asyncio(main(asked))
