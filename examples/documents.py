"""Collaborative documents: the server half of the y-websocket protocol, so that the editors of Yjs work against it.

Run it with ``python examples/documents.py --npm FOLDER``, where FOLDER is a ``node_modules`` with ``yjs`` and
``y-websocket``, and open the address it prints in several windows; the part after ``#`` names the document. It needs
``pip install pycrdt``.

Each document is a resource: the first visitor loads it from its file, the last one's leaving saves and unloads it. In
between the server merges updates into its copy and sends them to all others.
"""

import argparse
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import trio
from pycrdt import (
    Awareness,
    Doc,
    YMessageType,
    YSyncMessageType,
    create_awareness_message,
    create_sync_message,
    handle_sync_message,
    read_message,
)

import wsframe
from wsframe import Client, Limits, Registry, Request, Resource, Response, Server, static_file

HERE = Path(__file__).parent
SAVE_EVERY = 10.0  # seconds
ASK_FOR_AWARENESS = bytes([3])


class Document(Resource[set[int]]):
    """One document. ``client.data`` has the numbers under which Yjs knows the client: those of its cursors."""

    limits = Limits(max_message=4 * 1024 * 1024, max_outbox=16 * 1024 * 1024)
    error_close_code = 1007  # an update that cannot be read

    def __init__(self, file: Path) -> None:
        self.file = file
        self.doc: Doc[Any] = Doc()
        self.awareness = Awareness(self.doc)
        self.saved = b""

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        if self.file.exists():
            self.doc.apply_update(await trio.to_thread.run_sync(self.file.read_bytes))
        self.saved = self.doc.get_update()
        self.start_soon(self.save_often)
        try:
            yield
        finally:
            with trio.CancelScope(shield=True):
                await self.save()

    async def save_often(self) -> None:
        while True:
            await trio.sleep(SAVE_EVERY)
            await self.save()

    async def save(self) -> None:
        update = self.doc.get_update()
        if update != self.saved:
            await trio.to_thread.run_sync(write_whole, self.file, update)
            self.saved = update

    async def client_connected(self, client: Client[set[int]]) -> None:
        client.data = set()
        client.send_binary(create_sync_message(self.doc))  # the state here: the client answers with the rest
        if self.awareness.states:
            client.send_binary(self.awareness_of([*self.awareness.states]))
        self.broadcast_binary(ASK_FOR_AWARENESS, exclude=client)

    async def received_binary(self, client: Client[set[int]], message: bytes) -> None:
        kind, content = message[0], message[1:]
        if kind == YMessageType.SYNC:
            answer = handle_sync_message(content, self.doc)
            if answer is not None:
                client.send_binary(answer)
            if content[0] in (YSyncMessageType.SYNC_STEP2, YSyncMessageType.SYNC_UPDATE):
                self.broadcast_binary(message, exclude=client)
        elif kind == YMessageType.AWARENESS:
            self.hear_of(client, read_message(content))
            self.broadcast_binary(message, exclude=client)

    def hear_of(self, client: Client[set[int]], update: bytes) -> None:
        """Note which numbers the client speaks for."""

        def note(event: str, change: tuple[dict[str, Any], Any]) -> None:
            client.data.update(change[0]["added"])

        watch = self.awareness.observe(note)
        try:
            self.awareness.apply_awareness_update(update, origin=client)
        finally:
            self.awareness.unobserve(watch)

    async def disconnected(self, client: Client[set[int]]) -> None:
        gone = [number for number in client.data or () if number in self.awareness.states]
        if gone:  # its cursors vanish for the others
            self.awareness.remove_awareness_states(gone, origin=client)
            self.broadcast_binary(self.awareness_of(gone))

    def awareness_of(self, numbers: list[int]) -> bytes:
        return create_awareness_message(self.awareness.encode_awareness_update(numbers))


def write_whole(file: Path, content: bytes) -> None:
    """Write a file so that it is whole, the old one or the new one, at each moment."""
    half = file.with_suffix(".part")
    half.write_bytes(content)
    half.replace(file)


def read_module(npm: Path, name: str) -> bytes | None:
    """Read a module of npm; in the imports of lib0 the suffix is missing."""
    path = (npm / name.lstrip("/")).resolve()
    path = path if path.suffix in (".js", ".mjs") else path.with_name(f"{path.name}.js")
    return path.read_bytes() if path.is_relative_to(npm.resolve()) and path.is_file() else None


def made_registry(folder: Path, npm: Path | None) -> Registry:
    folder.mkdir(parents=True, exist_ok=True)

    def make_document(request: Request) -> Resource[Any] | None:
        name = request.path_params["name"]
        return Document(folder / f"{name}.yjs") if name.isascii() and name.isalnum() and len(name) <= 50 else None

    async def module(request: Request) -> Response:
        assert npm is not None
        found = await trio.to_thread.run_sync(read_module, npm, request.path)
        if found is None:
            return Response("not found", 404)
        return Response(found, content_type="text/javascript; charset=utf-8")

    registry = Registry(alone=True)
    registry.register_factory("/documents/{name}", make_document, linger=5)
    registry.route("/", static_file(HERE / "documents.html"))
    if npm is not None:
        registry.route("/npm/*", module)
    return registry


def announce(server: Server) -> None:
    print(f"Documents at http{server.addresses[0].removeprefix('ws')}/ (add #name)", flush=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Serve documents that several people edit at the same time.")
    parser.add_argument("--port", type=int, default=8000, help="0 for a free one (default 8000)")
    parser.add_argument("--folder", type=Path, default=Path("documents"), help="where they are saved")
    parser.add_argument("--npm", type=Path, help="node_modules with yjs and y-websocket, for the page")
    arguments = parser.parse_args()
    wsframe.run(made_registry(arguments.folder, arguments.npm), port=arguments.port, started=announce)
