"""A bug in wsframe's own code on one link costs that link alone: such bugs are made here on purpose."""

from contextlib import ExitStack
from typing import Literal

import pytest
import trio

import wsframe
from tests.chaos.conversation import Conversation, Fault, request_head
from tests.chaos.rough import Address, Rough
from tests.client_frames import frame
from wsframe.protocol.decoder import Decoder
from wsframe.protocol.events import Event

TRIGGER = frame(0x82, b"trigger")


class Bug(Exception):
    """A bug."""


class Echo(wsframe.Resource):
    gone = 0

    async def received_text(self, client: wsframe.Client, message: str) -> None:
        client.send_text(message)

    async def disconnected(self, client: wsframe.Client) -> None:
        self.gone += 1


@pytest.fixture(autouse=True)
def bug(monkeypatch: pytest.MonkeyPatch) -> None:
    receive = Decoder.receive

    def receive_or_fail(self: Decoder, data: bytearray, room: int) -> list[Event]:
        if TRIGGER in data:
            raise Bug("made on purpose")
        return receive(self, data, room)

    monkeypatch.setattr(Decoder, "receive", receive_or_fail)


@pytest.mark.parametrize("early", [False, True], ids=["later", "with the request"])
@pytest.mark.parametrize("poller", ["auto", "task"])
async def test_a_bug_costs_its_link_alone(poller: Literal["auto", "task"], early: bool) -> None:
    echo, registry = Echo(), wsframe.Registry()
    registry.register("/", echo, wsframe.any_origin)
    timeouts = wsframe.Timeouts(drain=1)
    with trio.fail_after(120), ExitStack() as sockets:
        async with wsframe.open_server(registry, port=0, poller=poller, timeouts=timeouts) as server:
            address = Address(int(server.addresses[0].rpartition(":")[2]), None)
            unconcerned = Conversation(await Rough.connect(address), "unconcerned")
            sockets.callback(unconcerned.peer.close)
            await unconcerned.open("/")
            peer = await Rough.connect(address)
            sockets.callback(peer.close)
            await peer.send(request_head("/", "unlucky") + (TRIGGER if early else b""))
            with pytest.raises((OSError, Fault)):
                await until_lost(peer, b"" if early else TRIGGER)
            peer.close()
            await unconcerned.echo("still here", close=1000)
            unconcerned.peer.close()
            while server.statistics().reserved or server.clients:  # noqa: ASYNC110
                await trio.sleep(0.01)
            assert echo.gone == 2


async def until_lost(peer: Rough, raw: bytes) -> None:
    """Read until the connection is lost; send ``raw`` after the 101."""
    answer = await peer.receive()
    assert answer.startswith(b"HTTP/1.1 101 ")
    await peer.send(raw)
    while data := await peer.receive():
        assert not data.startswith(b"HTTP/"), "an HTTP answer behind the 101"
    raise Fault("ended")
