"""Programs of well-behaved clients. They raise if anything they are sent is not as it must be."""

from zlib import crc32

import trio

from tests.chaos.conversation import Conversation, Fault, Refused, some_messages
from tests.chaos.moving_rooms import ROOMS
from tests.chaos.visit import Program, Visit
from tests.client_frames import frame

__all__ = ["POLITE"]

# Below the bytes that an outbox and an inbox hold in all, so that a client that reads is never too slow.
IN_FLIGHT = 96 * 1024


async def converse(visit: Visit, talk: Conversation, bursts: int, *, size: int = IN_FLIGHT) -> None:
    """Send bursts of messages and check the echoes; the last burst has the close frame behind it."""
    random = visit.random
    for last in [False] * (bursts - 1) + [True]:
        messages = some_messages(random, random.choice((1, 3, 20, 100)), size)
        visit.promise(*messages)
        fragments = random.choice((1, 1, 1, 4))
        if last:
            visit.closes_with = random.choice((1000, 1001, 3000, 4999))
        await talk.echo(*messages, close=visit.closes_with if last else None, fragments=fragments)
        await trio.sleep(random.random() / 20)


async def echo(visit: Visit) -> None:
    async with visit.conversation("/echo") as talk:
        await converse(visit, talk, visit.random.randint(1, 5))


async def echo_deflated(visit: Visit) -> None:
    path = visit.random.choice(("/deflated", "/deflated", "/echo"))
    async with visit.conversation(path, deflate=True) as talk:
        await converse(visit, talk, visit.random.randint(1, 4))


async def byte_by_byte(visit: Visit) -> None:
    """Send every byte in a segment of its own, the handshakes' too."""
    visit.random.shuffle(paths := ["/echo", "/deflated", "/each", "/bounded"])
    async with visit.conversation(paths[0], deflate=True, piece=1) as talk:
        await converse(visit, talk, 1, size=400)


async def with_waiting_hooks(visit: Visit) -> None:
    path = visit.random.choice(("/waits", "/each", "/each", "/bounded"))
    async with visit.conversation(path) as talk:
        for _ in range(visit.random.randint(1, 3)):
            messages = some_messages(visit.random, 8, 4000)
            visit.promise(*messages)
            await talk.echo(*messages)
        visit.closes_with = 1000
        await talk.echo(close=1000)


async def moved_about(visit: Visit) -> None:
    """Notice nothing of being moved from room to room."""
    async with visit.conversation(visit.random.choice(ROOMS)) as talk:
        await converse(visit, talk, visit.random.randint(1, 3), size=20_000)


async def early(visit: Visit) -> None:
    """Send the first frames together with the request."""
    texts = [f"early {at}" for at in range(visit.random.randint(1, 90))]
    visit.promise(*texts)
    async with visit.peer(piece=visit.random.choice((0, 7))) as peer:
        talk = Conversation(peer, visit.name)
        await talk.open("/echo", early=b"".join(frame(0x81, text.encode()) for text in texts))
        await talk.expect(*texts)
        await talk.echo(close=1000)


async def half_close(visit: Visit) -> None:
    """Send messages and the end of the stream without a close frame: all echoes come, then the end."""
    messages = some_messages(visit.random, visit.random.choice((1, 10, 100)), IN_FLIGHT // 2)
    visit.promise(*messages)
    visit.closes_with = 1006
    async with visit.conversation("/echo") as talk:

        async def send() -> None:
            await talk.send(*messages)
            talk.peer.half_close()

        async with trio.open_nursery() as nursery:
            nursery.start_soon(send)
            await talk.expect(*messages)
        if rest := await talk.peer.receive():
            raise Fault(f"after the echoes of the messages before EOF: {rest!r:.80}")


async def slow_reader(visit: Visit) -> None:
    """Read a little at a time: slow, but moving, and so to be borne with."""
    messages: list[str | bytes] = [visit.random.randbytes(8000) for _ in range(visit.random.randint(4, 8))]
    visit.promise(*messages)
    async with visit.peer(small=True) as peer:
        talk = Conversation(peer, visit.name)
        await talk.open("/echo")
        async with trio.open_nursery() as nursery:
            nursery.start_soon(talk.send, *messages)
            for message in messages:
                await trio.sleep(0.05)
                await talk.expect(message)
        await talk.echo(close=1000)


async def roomful(visit: Visit) -> None:
    """Say things in the room; everybody's words come in the order in which they were said."""
    words = [f"{visit.name}|{at}|{'x' * visit.random.randint(0, 60)}" for at in range(visit.random.randint(1, 6))]
    visit.promise(*words)
    heard: dict[str, int] = {}
    mine: list[str] = []
    async with visit.conversation("/room", deflate=visit.random.random() < 0.6) as talk:

        async def speak() -> None:
            for word in words:
                await talk.send(word)
                await trio.sleep(visit.random.random() / 10)

        async with trio.open_nursery() as nursery:
            nursery.start_soon(speak)
            while len(mine) < len(words):
                said = await talk.receive()
                if not isinstance(said, str):
                    continue  # somebody rude
                who, _, rest = said.partition("|")
                number = rest.partition("|")[0]
                if who == visit.name:
                    mine.append(said)
                if number.isdigit():
                    if heard.setdefault(who, int(number) - 1) != int(number) - 1:
                        raise Fault(f"{who} said {number} after {heard[who]}")
                    heard[who] = int(number)
        if mine != words:
            raise Fault("the client's own words came back otherwise than they were said")
        await talk.send(close=1000)
        while isinstance(await talk.receive(), str | bytes):
            pass


async def pings(visit: Visit) -> None:
    """Ping between messages and inside one: pongs come in order, messages unharmed."""
    sent = [b"%d" % at for at in range(visit.random.randint(1, 40))]
    async with visit.conversation(visit.random.choice(("/echo", "/each"))) as talk:
        for payload in sent:
            await talk.ping(payload)
        head, tail = frame(0x01, b"half and "), frame(0x80, b"half")
        await talk.peer.send(head + frame(0x89, b"inside") + tail)
        visit.promise("half and half")
        await talk.expect("half and half")
        await talk.echo(close=1000)
        wanted = iter([*sent, b"inside"])
        if not talk.pongs or not all(pong in wanted for pong in talk.pongs):
            raise Fault(f"pongs {talk.pongs!r:.100} for pings {sent!r:.100}")


async def gate(visit: Visit) -> None:
    """Hold the hook until a pong has come: the reactor does not wait for hooks."""
    visit.gates[visit.name] = trio.Event()
    visit.promise("through the gate")
    async with visit.conversation("/gate") as talk:
        talk.on_pong = visit.gates[visit.name]
        await talk.send("through the gate")
        await talk.ping(b"are you there")
        await talk.expect("through the gate")
        await talk.echo(close=1000)


async def raising(visit: Visit) -> None:
    """Meet a hook that raises: replies before it arrive, then 1011."""
    place = visit.random.choice(("accept", "connected", "text", "disconnected"))
    visit.name = f"{visit.name}.{place}"
    before = some_messages(visit.random, 5, 1000)
    try:
        async with visit.conversation("/raises") as talk:
            if place == "connected":
                visit.promised = []
                await talk.expect_close(1011)
                return
            visit.promise(*before)
            if place == "text":
                visit.promise("raise")
                await talk.send(*before, "raise", "not taken any more")
                await talk.expect(*before)
                await talk.expect_close(1011)
            else:
                await talk.echo(*before, close=1000)
            if place == "accept":
                raise Fault("let in by accept_client, which raised")
    except Refused as refused:
        visit.lives = 0
        if place != "accept" or refused.status != 500:
            raise


async def refused(visit: Visit) -> None:
    """Be refused: by ``accept_client``, by ``client_connected``, for the path."""
    path, place = visit.random.choice((("/raises", "refuse"), ("/nowhere", "path"), ("/raises", "reject")))
    visit.name = f"{visit.name}.{place}"
    try:
        async with visit.conversation(path) as talk:
            visit.promised = []
            await talk.expect_close(4003)
    except Refused as refusal:
        visit.lives = 0
        if refusal.status != {"refuse": 403, "path": 404}.get(place):
            raise


async def be_closed(visit: Visit) -> None:
    """Be closed by a hook, with messages on the way that nobody is told of."""
    before = some_messages(visit.random, visit.random.choice((0, 4, 50)), 8000)
    async with visit.conversation("/closes") as talk:

        async def send() -> None:
            await talk.send(*before, "close")

        async with trio.open_nursery() as nursery:
            nursery.start_soon(send)
            await talk.expect(*before, "close")
            visit.promise(*before, "close")
            visit.closes_with = 4000
            await talk.expect_close(4000)


async def be_aborted(visit: Visit) -> None:
    """Be reset by a hook."""
    visit.promised, visit.closes_with = [crc32(b"abort")], 1006
    async with visit.conversation("/closes") as talk:
        await talk.send("abort")
        try:
            await talk.receive()
        except (OSError, Fault):
            return
        raise Fault("not aborted")


POLITE: dict[Program, int] = {
    echo: 5, echo_deflated: 5, byte_by_byte: 2, with_waiting_hooks: 4, moved_about: 4, early: 2, half_close: 3,
    slow_reader: 1, roomful: 4, pings: 3, gate: 2, raising: 3, refused: 2, be_closed: 2, be_aborted: 1,
}  # fmt: skip
