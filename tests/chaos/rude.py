"""Programs of hostile clients. Where the right answer is known, they check that they get it."""

from collections.abc import Callable
from contextlib import suppress

import trio
from wsproto.connection import CLIENT
from wsproto.connection import Connection as Engine
from wsproto.events import CloseConnection, Message

from tests.chaos.conversation import Fault, request_head
from tests.chaos.moving_rooms import ROOMS
from tests.chaos.rough import Rough
from tests.chaos.visit import Program, Visit
from tests.client_frames import frame

__all__ = ["RUDE"]

PATHS = ("/echo", "/deflated", "/waits", "/each", "/room", "/raises", "/closes", "/bounded", "/works", *ROOMS)
MIB = 1024 * 1024


async def upgrade(visit: Visit, peer: Rough, path: str | None = None, more: bytes = b"") -> bytes:
    """Shake hands without much care, sending ``more`` behind the request; return the bytes after the 101."""
    path = path or visit.random.choice(PATHS)
    visit.trail.append(path)
    await peer.send_head(request_head(path, visit.name, deflate=visit.random.random() < 0.3) + more)
    data = b""
    while b"\r\n\r\n" not in data:
        got = await peer.receive()
        if not got:
            raise Fault(f"no answer to the request: {data!r}")
        data += got
    if not data.startswith(b"HTTP/1.1 101 "):
        raise Fault(f"not let in: {data[:80]!r}")
    return data.partition(b"\r\n\r\n")[2]


async def rest_of(peer: Rough, data: bytes = b"") -> tuple[int, int | None]:
    """Read to the end; return how many messages came, and the code of the close frame."""
    engine = Engine(CLIENT, [], data)
    messages, code = 0, None
    while True:
        for event in engine.events():
            messages += isinstance(event, Message) and event.message_finished
            if isinstance(event, CloseConnection) and code is None:
                code = int(event.code)
        data = await peer.receive()
        if not data:
            return messages, code
        if code is not None:
            raise Fault(f"bytes behind a close frame: {data[:80]!r}")
        engine.receive_data(data)


async def violate(visit: Visit, raw: bytes, code: int, *, piece: int = 0) -> None:
    """Send good messages and then something wrong: the echoes come first, then this code."""
    good = [f"good {at}" for at in range(visit.random.choice((0, 1, 7, 60)))]
    visit.promise(*good)
    visit.closes_with = code
    async with visit.peer(piece=piece) as peer:
        sent = b"".join(frame(0x81, text.encode()) for text in good) + raw
        together = visit.random.random() < 0.3
        path = visit.random.choice(("/echo", "/waits", "/each", *ROOMS))
        data = await upgrade(visit, peer, path, sent if together else b"")
        if not together:
            await peer.send(sent)
        got = await rest_of(peer, data)
        if got != (len(good), code):
            raise Fault(f"{raw[:20]!r}: echoes and code should be {(len(good), code)}, are {got}")


async def lie(visit: Visit) -> None:
    """Lie about lengths, in a way that shows in the header."""
    lies = {
        frame(0x82, b"x", length=2**40): 1009,
        frame(0x82, b"x", length=2**63): 1002,
        frame(0x82, b"x" * 20, form=2): 1002,
        frame(0x81, b"x" * 20, form=8): 1002,
        frame(0x89, b"x" * 126): 1002,
        frame(0x88, b"\x03"): 1002,
    }
    raw = visit.random.choice(list(lies))
    await violate(visit, raw, lies[raw], piece=visit.random.choice((0, 1)))


async def break_rules(visit: Visit) -> None:
    """Break one rule of the protocol."""
    wrong = [
        frame(0x81, b"unmasked", mask=None),
        frame(0xF2, b"reserved bits"),
        frame(0x83, b"reserved opcode"),
        frame(0x8B, b"reserved control opcode"),
        frame(0x80, b"continues nothing"),
        frame(0x09, b"fragmented ping"),
        frame(0x01, b"begun, ") + frame(0x81, b"and begun again"),
        frame(0x88, (999).to_bytes(2, "big")),
        request_head("/echo", visit.name),
    ]
    await violate(visit, visit.random.choice(wrong), 1002, piece=visit.random.choice((0, 0, 1)))


async def bad_text(visit: Visit) -> None:
    bad = visit.random.choice((b"\xff", b"ok \xc3\x28", b"\xed\xa0\x80", b"\xf4\x90\x80\x80", b"cut off \xe2\x82"))
    raw = frame(0x81, bad)
    if visit.random.random() < 0.4:
        raw = frame(0x01, bad[:1]) + frame(0x80, bad[1:])
    if visit.random.random() < 0.2:
        raw = frame(0x88, b"\x03\xe8" + bad)
    await violate(visit, raw, 1007)


async def oversize(visit: Visit) -> None:
    whole, parts = frame(0x82, bytes(32 * 1024 + 1)), [frame(0x02, b"x"), *[frame(0x00, b"y")] * 64]
    await violate(visit, visit.random.choice((whole, whole[:20], b"".join(parts))), 1009)


async def stall(visit: Visit) -> None:
    """Ask for much and never read: to be reset."""
    visit.lives = None
    async with visit.peer(small=True) as peer:
        await upgrade(visit, peer, visit.random.choice(("/echo", "/each", "/deflated")))
        with trio.move_on_after(visit.random.choice((0.0, 5.0))):
            for _ in range(visit.random.choice((0, 6, 8, 40))):
                await peer.send(frame(0x82, visit.random.randbytes(30_000)))
        await visit.hold()


async def vanish(visit: Visit) -> None:
    """Reset at a random moment, perhaps in the middle of a message."""
    visit.lives = None
    async with visit.peer(tls=visit.random.random() < 0.8) as peer, trio.open_nursery() as nursery:

        async def bustle() -> None:
            with suppress(OSError, Fault):
                await upgrade(visit, peer)
                for _ in range(200):
                    visit.acts += 1
                    await peer.send(frame(0x82, visit.random.randbytes(visit.random.choice((5, 500, 20_000)))))

        async def give_up() -> None:
            await trio.sleep(visit.random.choice((0, 0.001, 0.01, 0.1, 0.5)))
            nursery.cancel_scope.cancel()

        nursery.start_soon(give_up)
        nursery.start_soon(bustle)
        try:
            await trio.sleep_forever()
        finally:
            visit.random.choice((peer.reset, peer.close))()


async def flood(visit: Visit) -> None:
    """Send very many very small messages, with nobody reading the echoes."""
    visit.lives = None
    raw = visit.random.choice((frame(0x81), frame(0x82, b"!"), frame(0x01) + frame(0x80)))
    async with visit.peer() as peer:
        await upgrade(visit, peer, visit.random.choice(("/echo", "/each", "/deflated", "/raises")))
        for _ in range(visit.random.choice((5, 20))):
            visit.acts += 300
            await peer.send(raw * 300)
        if visit.random.random() < 0.5:
            peer.reset()
        else:
            await rest_until_lost(peer)


async def ping_flood(visit: Visit) -> None:
    """Send very many pings, read or not."""
    visit.lives = None
    async with visit.peer() as peer:
        await upgrade(visit, peer, "/echo")
        for _ in range(visit.random.choice((2, 10))):
            visit.acts += 500
            await peer.send(frame(0x89, visit.random.randbytes(visit.random.choice((0, 4, 125)))) * 500)
        if visit.random.random() < 0.5:
            await visit.hold()


async def rest_until_lost(peer: Rough) -> None:
    with trio.move_on_after(2):
        while await peer.receive():
            pass


async def close_in_message(visit: Visit) -> None:
    """Send a close frame where the next fragment should be, or stop in the middle of a frame."""
    visit.promised = []
    async with visit.peer() as peer:
        data = await upgrade(visit, peer, "/echo")
        if visit.random.random() < 0.5:
            visit.closes_with = 1001
            await peer.send(frame(0x01, b"begun and") + frame(0x88, b"\x03\xe9"))
            if await rest_of(peer, data) != (0, 1001):
                raise Fault("a close frame between fragments was not answered with its code")
        else:
            visit.closes_with = 1006
            await peer.send(frame(0x82, b"less than that", length=visit.random.choice((100, 1000, 30_000))))
            peer.half_close()
            if await rest_of(peer, data) != (0, None):
                raise Fault("an end in mid-message was not met with the end")


async def data_after_close(visit: Visit) -> None:
    """Go on after a close frame: nobody hears it."""
    visit.promise("before")
    visit.closes_with = 1000
    async with visit.peer() as peer:
        more = frame(0x81, b"after") * visit.random.choice((1, 1000))
        path = visit.random.choice(("/echo", "/each"))
        data = await upgrade(visit, peer, path, frame(0x81, b"before") + frame(0x88, b"\x03\xe8") + more)
        if await rest_of(peer, data) != (1, 1000):
            raise Fault("a close frame with data behind it was not answered")


async def never_finish(visit: Visit) -> None:
    """Begin a TLS handshake, a request or nothing at all, and wait."""
    visit.lives = 0
    tls = visit.random.random() < 0.6
    async with visit.peer(tls=tls) as peer:
        begun = (b"\x16\x03\x01\x02\x00\x01\x00", b"", b"\x16") if not tls else (b"GET /ec", b"", b"\r\n")
        await peer.send(visit.random.choice(begun))
        if visit.random.random() < 0.5:
            await visit.hold()
        else:
            visit.retire()
            for byte in request_head("/echo", visit.name)[7:40] * 20:
                await trio.sleep(0.4)
                await peer.send(bytes((byte,)))  # until the server has had enough


async def garbage(visit: Visit) -> None:
    """Send anything, before the request or after it."""
    visit.lives = 0
    raw = visit.random.randbytes(visit.random.choice((1, 30, 20_000)))
    async with visit.peer(tls=visit.random.random() < 0.5) as peer:
        if visit.random.random() < 0.5:
            raw = visit.random.choice((b"GET / HTTP/1.1\r\nHost: \xff\r\n\r\n", b"\r\n\r\nPOST ", b"GET /" + raw))
        await peer.send(raw)
        peer.half_close()
        await rest_until_lost(peer)


async def garbage_frames(visit: Visit) -> None:
    visit.lives = None
    async with visit.peer() as peer:
        await upgrade(visit, peer)
        await peer.send(visit.random.randbytes(visit.random.choice((1, 30, 20_000))))
        await rest_until_lost(peer)


async def odd_request(visit: Visit) -> None:
    """Ask for pages and resources that do not exist: each has its own HTTP error."""
    visit.lives = 0
    change: dict[int, Callable[[bytes], bytes]] = {
        405: lambda head: head.replace(b"GET", b"POST", 1),
        426: lambda head: head.replace(b"Version: 13", b"Version: 8"),
        400: lambda head: head.replace(b"localhost", b"evil.example"),
        404: lambda head: head.replace(b"/echo", b"/ech%6f"),
        431: lambda head: head.replace(b"localhost", b"localhost\r\nX-Long: " + b"x" * 20_000),
    }
    status = visit.random.choice(list(change))
    async with visit.peer(piece=visit.random.choice((0, 100))) as peer:
        await peer.send(change[status](request_head("/echo", visit.name)))
        answer = b""
        while data := await peer.receive():
            answer += data
        if not answer.startswith(b"HTTP/1.1 %d " % status):
            raise Fault(f"{status} expected, not {answer[:60]!r}")


async def go_quiet(visit: Visit) -> None:
    """Vanish without a word: pings are never answered, nothing is ever closed."""
    async with visit.peer() as peer:
        await upgrade(visit, peer)
        await visit.hold()


RUDE: dict[Program, int] = {
    stall: 4, vanish: 4, flood: 3, ping_flood: 2, lie: 3, break_rules: 4, bad_text: 3, oversize: 2,
    close_in_message: 2, data_after_close: 2, never_finish: 3, garbage: 2, garbage_frames: 2, odd_request: 2,
    go_quiet: 2,
}  # fmt: skip
