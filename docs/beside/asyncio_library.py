"""A hook awaits an asyncio library, whose loop runs in a thread."""

import asyncio
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from threading import Event, Thread
from types import TracebackType
from typing import Any, Self, TypeVar

import trio

import wsframe
from wsframe import Client, Resource, register_global_resource

ResultT = TypeVar("ResultT")


class AsyncioThread:
    """An asyncio loop in a thread, for a ``with``."""

    def __enter__(self) -> Self:
        self._started = Event()
        self._thread = Thread(target=lambda: asyncio.run(self._run()), name="asyncio", daemon=True)
        self._thread.start()
        self._started.wait()
        return self

    async def _run(self) -> None:
        self._loop, self._over = asyncio.get_running_loop(), asyncio.Event()
        self._started.set()
        await self._over.wait()  # asyncio.run() then cancels the tasks that are left

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._loop.call_soon_threadsafe(self._over.set)
        self._thread.join()

    async def run(self, coroutine: Coroutine[Any, Any, ResultT]) -> ResultT:
        """Run a coroutine of asyncio; await this in trio. Its cancellation is passed on."""
        token, done = trio.lowlevel.current_trio_token(), trio.Event()
        future = asyncio.run_coroutine_threadsafe(coroutine, self._loop)
        future.add_done_callback(lambda _: token.run_sync_soon(done.set))
        try:
            await done.wait()
        except trio.Cancelled:
            future.cancel()
            raise
        return future.result()


async def look_up(word: str) -> str:
    """Stand for the library."""
    await asyncio.sleep(0.01)
    if not word:
        raise LookupError("no word")
    return f"{word} found"


class Words(Resource):
    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        with AsyncioThread() as self.asyncio:
            yield

    async def received_text(self, client: Client, message: str) -> None:
        client.send_text(await self.asyncio.run(look_up(message)))


register_global_resource("/words", Words())

if __name__ == "__main__":
    wsframe.run(started=lambda server: print("Serving at", *server.addresses))
