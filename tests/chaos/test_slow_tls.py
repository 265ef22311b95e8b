"""A peer whose TLS record takes longer than the ping timeouts is slow, but it moves: it is kept."""

import trio
from trio.testing import MockClock

import wsframe
from tests.certificates import make_contexts
from tests.chaos.conversation import Conversation
from tests.chaos.rough import Address, Rough

TEXT = "it takes its time, but it comes: " * 3


class Echo(wsframe.Resource):
    async def received_text(self, client: wsframe.Client, message: str) -> None:
        client.send_text(message)


async def test_a_record_that_arrives_slowly_is_a_sign_of_life(patient_clock: MockClock) -> None:
    server_context, client_context = make_contexts()
    registry = wsframe.Registry()
    registry.register("/", Echo(), wsframe.any_origin)
    timeouts = wsframe.Timeouts(ping_interval=3, ping_timeout=6)
    async with wsframe.open_server(registry, port=0, ssl_context=server_context, timeouts=timeouts) as server:
        peer = await Rough.connect(Address(int(server.addresses[0].rpartition(":")[2]), client_context))
        try:
            talk = Conversation(peer, "slow")
            await talk.open("/")
            peer.piece, peer.pause = 1, 0.2
            await talk.send(TEXT)
            peer.piece = 0
            with trio.fail_after(1000):
                await talk.expect(TEXT)
        finally:
            peer.close()
