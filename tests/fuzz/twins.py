"""The twins in C and in Python: the same bytes through links of either must bring and count the same."""

import socket
from collections.abc import Callable
from random import Random

import trio

from tests.fuzz.promises import keep
from tests.links import Language, Links, Peer, Snapshot, languages, running_in
from tests.weight import cost_of
from tests.wire import decode
from wsframe.limits import Limits
from wsframe.protocol.close import State
from wsframe.protocol.events import PongReceived
from wsframe.protocol.frames import BINARY, PING, TEXT, control_frame, data_frame
from wsframe.resources.client import Client

__all__ = ["PLANS", "links", "sending"]

PLANS = 6
"""Bytes at the beginning of an input that say how the rest is used."""

MOST_TURNS = 400
MOST_STEPS = 100
AT_ENGINE = Snapshot._fields.index("in_engine")
LIMITS = (
    Limits(max_message=1_000_000),
    Limits(max_message=70_000, max_queued_messages=4, max_queued_bytes=2000),
    Limits(max_message=300, max_frame=200, max_queued_messages=1),
    Limits(max_message=1_000_000, max_message_rate=1e9, max_byte_rate=1e12),
    Limits(max_message=2**70, max_queued_messages=2**70, max_queued_bytes=2**70),
)
BUFFERS = (65536, 300, 64, 16)
READS_ITSELF = 128
"""A bit of a plan: Python reads, as over TLS, and hands the bytes to C."""
BUDGETS = (1 << 40, 700, 5000, 1 << 70)


def links(data: bytes) -> None:
    """Feed a link in C and one in Python: in any pieces, with hooks of any speed, with any end at any time."""
    plan, stream = data[:PLANS].ljust(PLANS, b"\0"), data[PLANS:]
    stories = [trio.run(live, language, plan, stream) for language in languages()]
    for mine, theirs in zip(stories[0], stories[-1], strict=True):
        if mine is not None and theirs is not None:
            keep(alike(mine, theirs), f"in C {mine!r:.800}, in Python {theirs!r:.800}")


def alike(mine: object, theirs: object) -> bool:
    """Compare two snapshots, or the bytes sent.

    Where a read ends inside a header, the rest of the frame goes to the engine, and in C
    some reads end elsewhere: bytes held are compared only where
    neither is there.
    """
    if isinstance(mine, Snapshot) and isinstance(theirs, Snapshot) and (mine.in_engine or theirs.in_engine):
        return mine[:AT_ENGINE] == theirs[:AT_ENGINE]
    return mine == theirs


async def live(language: Language, plan: bytes, stream: bytes) -> list[object]:
    """Lead a link through its life; return its state whenever it had read everything, and the bytes it sent."""
    random = Random(bytes(plan))
    story: list[object] = []
    with running_in(language):
        buffer = BUFFERS[plan[1] % 4]
        rig = Links(language, buffer=buffer, budget=BUDGETS[plan[5] % 4])
        peer = rig.open(LIMITS[plan[0] % 5])
        if plan[3] & READS_ITSELF:
            peer.link.raw_fd = -1
        most = plan[2] % 64 + 1 if plan[2] & 64 else 5000
        stream = stream[: MOST_TURNS * min(buffer, most)]
        end_at = random.randrange(len(stream) + 1)
        ended, fed = False, 0
        while fed < len(stream):
            piece = stream[fed : fed + random.randint(1, most)]
            fed += len(piece)
            peer.send(piece)
            story.append(look(peer) if peer.reads else None)
            if random.random() < 0.3:
                peer.take(random.randint(1, plan[3] % 8 + 1))
            if fed >= end_at and not ended:
                peer.take_all()
                story.append(look(peer))
                ENDS[plan[4] % len(ENDS)](peer)
                ended = True
        peer.take_all()
        story += [look(peer), peer.sent]
        rig.close()
        peer.take_all()
        keep(rig.reactor.budget.held == 0, f"{rig.reactor.budget.held} bytes held when everything is over")
    return story


def look(peer: Peer) -> Snapshot:
    """Look at all that is counted, and check that it is right."""
    now, connection = peer.snapshot(), peer.connection
    messages = [entry for entry in now.entries if isinstance(entry, str | bytes)]
    waiting = [entry for _, entry in peer.place.mailbox.entries if isinstance(entry, str | bytes | PongReceived)]
    put, taken = cost_of(now.entries), cost_of(peer.taken)
    keep(now.waiting == len(waiting), f"{len(waiting)} messages wait, {now.waiting} are counted")
    keep(now.received == len(messages), f"{len(messages)} messages came, {now.received} are counted")
    # Messages taken are counted until the last of them is taken: that is how the share is kept.
    keep(put - taken <= now.byte_count <= put, f"{put - taken} bytes wait, {now.byte_count} are counted")
    keep(now.waiting > 0 or now.byte_count == 0, "bytes are counted, but no message waits")
    keep(now.budget == now.byte_count + now.counted, f"{now.budget} bytes are counted for all")
    keep(now.counted == now.undecoded, f"{now.undecoded} bytes not decoded, {now.counted} counted")
    if connection.state is State.OPEN and (connection._engine is None or not connection._engine.weight):
        keep(now.undecoded == len(now.held), f"{len(now.held)} bytes held, {now.undecoded} counted")
    return now


def shut(peer: Peer) -> None:
    peer.sock.shutdown(socket.SHUT_WR)
    peer.links.settle()


def hang_up(peer: Peer) -> None:
    peer.sock.close()
    peer.links.settle()


def close(peer: Peer) -> None:
    peer.link.close(1000, "enough")
    peer.links.settle()


def reject(peer: Peer) -> None:
    assert isinstance(peer.link.client, Client)
    peer.link.client.reject(1008, "no")
    peer.links.settle()


def abort(peer: Peer) -> None:
    peer.link.abort("gone", mute=False)


ENDS: tuple[Callable[[Peer], None], ...] = (lambda peer: None, shut, hang_up, close, reject, abort)


def sending(data: bytes) -> None:
    """Send runs of frames to a peer that takes as much as it likes: the bytes must be those sent, in their order."""
    plan, script = data[:PLANS].ljust(PLANS, b"\0"), data[PLANS:]
    for language in languages():
        trio.run(write, language, plan, script[:MOST_STEPS])


async def write(language: Language, plan: bytes, script: bytes) -> None:
    """Send by a script: its bytes are sizes, pings, flushes, or the bytes that the peer takes."""
    random = Random(bytes(plan))
    expected: list[tuple[int, bytes]] = []
    pings = 0
    with running_in(language):
        rig = Links(language)
        peers = [rig.open(Limits(max_outbox=1 << 30)) for _ in range(plan[0] % 3 + 1)]
        for peer in peers:
            assert peer.link.transport.sock is not None
            peer.link.transport.sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 2048)
        for byte in script:
            kind, size = byte & 3, (byte >> 2) ** (3 if byte & 1 else 1) % 90_000
            if kind < 2:
                payload = random.randbytes(size)
                expected.append((BINARY, payload))
                for peer in peers:
                    peer.link.outbox.put(data_frame(BINARY, payload))
            elif kind == 2:
                rig.reactor.flusher.flush()
            elif byte & 4:
                for peer in peers:
                    peer.read(random.randrange(1, 100_000))
                    writable(peer)
            elif plan[1] & 1:
                pings += 1
                for peer in peers:
                    peer.link.outbox.put_urgent(control_frame(PING, bytes((byte,))))
        for peer in peers:
            peer.link.outbox.put(data_frame(TEXT, b"last"))
        finish(rig, peers)
        for peer in peers:
            keep_sent(peer, [*expected, (TEXT, b"last")], pings)
        keep(rig.reactor.budget.held == 0, f"{rig.reactor.budget.held} bytes are counted as held")
        rig.close()


def keep_sent(peer: Peer, expected: list[tuple[int, bytes]], pings: int) -> None:
    """Check that a peer has got all frames, and that nothing waits for it."""
    frames = decode(peer.sent)
    came = [(frame.opcode, frame.payload) for frame in frames if frame.opcode != PING]
    keep(came == expected, f"{len(came)} frames came, {len(expected)} were sent")
    keep(len(frames) - len(came) == pings, "another number of pings")
    outbox = peer.link.outbox
    keep(outbox.bytes_sent == len(peer.sent), f"{outbox.bytes_sent} bytes are counted as sent")
    keep((outbox.byte_count, outbox._offset, outbox.blocked, outbox.items) == (0, 0, False, []), "something waits")


def finish(rig: Links, peers: list[Peer]) -> None:
    """Read until nothing comes any more."""
    before = -1
    while before != (before := sum(len(peer.sent) for peer in peers)) or rig.reactor.flusher.dirty:
        rig.reactor.flusher.flush()
        for peer in peers:
            peer.read()
            writable(peer)
            peer.read()


def writable(peer: Peer) -> None:
    """Act as the reactor when the kernel takes bytes again."""
    if peer.link.outbox.blocked:
        peer.link.sender.writable()
