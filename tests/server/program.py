"""A server as a program, for the tests of signals: ``python -m tests.server.program``."""

import sys

import trio

import wsframe
from wsframe.server import signals

# So the time of a machine that is busy does not count: a server that hangs is for the tests of that module.
signals.LAST_SECONDS = 60.0
signals.KERNEL_SECONDS = 60


class Talkative(wsframe.Resource):
    """Reports its events on stdout; on ``stuck`` its hook does not come back."""

    async def client_connected(self, client: wsframe.Client) -> None:
        print("connected", flush=True)

    async def received_text(self, client: wsframe.Client, message: str) -> None:
        print(message, flush=True)
        if message == "stuck":
            await trio.sleep_forever()

    async def disconnected(self, client: wsframe.Client) -> None:
        print("disconnected", client.close_code, flush=True)


if __name__ == "__main__":
    wsframe.register_global_resource("/", Talkative(), wsframe.any_origin)
    timeouts = wsframe.Timeouts(drain=float(sys.argv[2]), close=600)
    wsframe.run(port=int(sys.argv[1]), timeouts=timeouts)
    print("ended", flush=True)
