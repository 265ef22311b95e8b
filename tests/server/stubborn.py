"""A server that does not want to end, as a program: ``python -m tests.server.stubborn HOW``."""

import ctypes
import os
import re
import signal
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from math import inf

import trio

import wsframe

HOW = sys.argv[1]


def say(word: str) -> None:
    print(word, flush=True)


def lock_twice() -> None:
    """Wait in code that is not Python, and that no signal interrupts."""
    library, mutex = ctypes.CDLL(None), ctypes.create_string_buffer(128)
    library.pthread_mutex_lock(mutex)
    library.pthread_mutex_lock(mutex)


class Stubborn(wsframe.Resource):
    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        if HOW == "starts for ever":
            say("busy")
            await trio.sleep(inf)
        if HOW == "starts for ever behind a shield":
            say("busy")
            with trio.CancelScope(shield=True):
                await trio.sleep(inf)
        if HOW == "starts and blocks":
            say("busy")
            time.sleep(600)  # noqa: ASYNC251
        say("running")
        yield
        say("left")
        if HOW == "is left behind a shield":
            with trio.CancelScope(shield=True):
                await trio.sleep_forever()

    async def received_text(self, client: wsframe.Client, message: str) -> None:
        say("busy")
        if HOW == "sleeps":
            time.sleep(600)  # noqa: ASYNC251
        if HOW == "forks":
            child = os.fork()
            if not child:
                time.sleep(600)  # noqa: ASYNC251
                os._exit(0)
            os.kill(child, signal.SIGTERM)
            say(f"child {os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])}")  # noqa: ASYNC222
            client.send_text("served")
        if HOW == "is not Python":
            lock_twice()
        if HOW == "holds the interpreter":
            re.match("(a+)+$", "a" * 60 + "b")
        while HOW == "loops":
            pass
        while HOW == "swallows":
            try:
                await trio.sleep(600)
            except BaseException:
                say("swallowed")


class Starting(wsframe.Resource):
    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        say("busy")
        await trio.sleep(inf)
        yield


if __name__ == "__main__":
    stubborn = Stubborn()
    wsframe.register_global_resource("/", stubborn, wsframe.any_origin)
    if HOW == "starts beside another":
        wsframe.register_global_resource("/other", Starting())
    timeouts = wsframe.Timeouts(drain=600, close=600)
    wsframe.run(port=0, timeouts=timeouts, started=lambda server: print("at", server.addresses[0], flush=True))
    print("ended", flush=True)
