"""TLS: mistakes of newcomers, and that the codec's stream stays whole."""

import socket
import ssl
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest
import trio
import trustme
from trio.testing import MockClock

import wsframe
from tests.hostile.place import Certificates, Place, Recorder, until
from tests.wire import BINARY, TEXT, frame, upgrade
from wsframe import Limits, Request
from wsframe.net.tls import READ_AT_ONCE, TLSCodec, default_context

Lines = Callable[[], list[str]]


async def test_plain_http_on_a_tls_port_is_told_so(secure: Place, info: Lines) -> None:
    async with secure.serve(Recorder()) as served:
        peer = await served.connect(plain=True)
        await peer.send(upgrade(cookie="s3cret"))
        answer = await peer.answer()
        assert (answer.status, answer.text) == (400, "this port speaks https\n")
        assert answer.fields["content-length"] == str(len(answer.body))
        assert "date" in answer.fields
        assert info() == [f"{peer.name}: TLS handshake failed (HTTP_REQUEST)"]


@pytest.mark.parametrize(
    "raw", [b"\x00" * 100, b"\x16\x03\x01\x00\x05hello", b"SSH-2.0-x\r\n" * 5], ids=["zeros", "bad hello", "ssh"]
)
async def test_tls_garbage_ends_the_connection_with_one_log_line(secure: Place, info: Lines, raw: bytes) -> None:
    async with secure.serve(Recorder()) as served:
        peer = await served.connect(plain=True)
        await peer.send(raw)
        assert await peer.end() == "fin"
        assert len(info()) == 1
        assert info()[0].startswith(f"{peer.name}: TLS handshake failed (")
        await served.open()


async def test_tls_handshake_that_never_ends_is_cut_off(secure: Place, info: Lines, patient_clock: MockClock) -> None:
    async with secure.serve(Recorder()) as served:
        peer = await served.connect(plain=True)
        await peer.send(b"\x16\x03\x01\x02\x00\x01")
        await peer.end()
        assert info() == [f"{peer.name}: refused with 408: too slow"]
        await served.idle()
        await served.open()


@pytest.mark.parametrize("how", ["fin", "reset"])
async def test_peer_may_leave_in_the_middle_of_the_tls_handshake(
    secure: Place, info: Lines, caplog: pytest.LogCaptureFixture, how: str
) -> None:
    async with secure.serve(Recorder()) as served:
        peer = await served.connect(plain=True)
        await peer.send(b"\x16\x03\x01\x02\x00\x01")
        await until(lambda: served.server.statistics().pending_handshakes)
        if how == "fin":
            peer.hang_up()
        else:
            peer.reset()
        await served.idle()
        assert len(info()) == 1
        assert not [record for record in caplog.records if record.levelname == "ERROR"]


async def test_garbage_behind_the_tls_handshake_ends_the_connection(secure: Place, info: Lines) -> None:
    async with secure.serve(Recorder()) as served:
        peer = await served.connect()
        await trio.testing.wait_all_tasks_blocked()
        await peer.socket.send(b"no TLS record at all, though long enough to be taken for one")
        await until(info)
        peer.hang_up()
        client = await served.open()
        await client.socket.send(b"\x17\x03\x03\x00\x20" + b"x" * 32)
        await until(lambda: not served.server.clients)
        assert len(info()) == 2


async def test_answer_that_waits_for_the_kernel_as_ciphertext_does_not_spin(certificates: Certificates) -> None:
    """All plaintext taken, not all ciphertext sent: the newcomer's task must wait, not turn."""

    async def handler(request: Request) -> wsframe.Response:
        return wsframe.Response(b"x" * 60_000)

    with socket.create_server(("127.0.0.1", 0)) as listening:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
        place = Place("task", certificates)
        registry = wsframe.Registry()
        registry.register("/", Recorder(), wsframe.any_origin)
        options: wsframe.ServeKeywords = {"sockets": [listening], "http_handler": handler}
        async with place.serve_registry(registry, **options) as served:
            slow = await served.connect(receive_buffer=2048)
            await slow.send(upgrade(upgrade=None))
            await slow.head()
            await (await served.open()).text("hello")
            while len(slow.received) < 60_000:
                assert await slow.more()


async def test_renegotiation_is_off(certificates: Certificates) -> None:
    """A peer could make the server do the costly half of the handshake over and over."""
    with socket.socket() as sock:
        TLSCodec(sock, certificates.server)
    assert certificates.server.options & ssl.OP_NO_RENEGOTIATION


async def test_renegotiation_that_was_allowed_since_is_off_for_the_next_connection(certificates: Certificates) -> None:
    certificates.server.options &= ~ssl.OP_NO_RENEGOTIATION
    with socket.socket() as sock:
        TLSCodec(sock, certificates.server)
    assert certificates.server.options & ssl.OP_NO_RENEGOTIATION


async def test_end_of_tls_is_the_end_of_the_client_with_or_without_close_notify(secure: Place) -> None:
    resource = Recorder()
    async with secure.serve(resource) as served:
        polite, rude = await served.open(), await served.open()
        rude.half_close()
        assert await rude.end() == "fin"
        await resource.until(lambda: resource.log[2:] == ["-1006"])
        with trio.move_on_after(0):
            await polite.stream.aclose()
        await resource.until(lambda: resource.log[3:] == ["-1006"])


async def test_server_says_close_notify_before_it_ends(secure: Place) -> None:
    async with secure.serve(Recorder()) as served:
        peer = await served.open()
        assert isinstance(peer.stream, trio.SSLStream)
        peer.stream._https_compatible = False  # so that an end without close_notify would be an error
        await peer.close(1000)
        assert await peer.rest.until_close() == ([], 1000)
        assert await peer.receive() is None


async def test_big_messages_both_ways_arrive_whole(secure: Place) -> None:
    class Back(Recorder):
        async def received_binary(self, client: wsframe.Client, message: bytes) -> None:
            client.send_binary(message)

    payload = bytes(range(256)) * 4000
    async with secure.serve(Back(), limits=Limits(max_outbox=8_000_000)) as served:
        peer = await served.open()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(peer.send, frame(BINARY, payload) * 4 + frame(TEXT, "end"))
            for _ in range(4):
                found = await peer.receive()
                assert found is not None
                assert found.payload == payload
            assert await peer.message() == "end"


class Pair:
    """A codec with a client over a socket pair, both driven by hand."""

    def __init__(self, certificates: Certificates) -> None:
        self.ours, self.theirs = socket.socketpair()
        for sock in (self.ours, self.theirs):
            sock.setblocking(False)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
        self.codec = TLSCodec(self.ours, certificates.server)
        self.incoming, self.outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.client = certificates.client.wrap_bio(self.incoming, self.outgoing, server_hostname="localhost")
        while not self.step():
            pass

    def step(self) -> bool:
        """Do a step of the handshake on both sides."""
        try:
            self.client.do_handshake()
        except ssl.SSLWantReadError:
            client_done = False
        else:
            client_done = True
        if self.outgoing.pending:
            self.theirs.send(self.outgoing.read())
        with suppress(BlockingIOError):
            self.codec.feed(self.ours.recv(65536))
        done = self.codec.handshake()
        self.pull()
        return done and client_done

    def pull(self) -> bool:
        """Take over the bytes that the server has sent."""
        try:
            data = self.theirs.recv(65536)
        except BlockingIOError:
            return False
        self.incoming.write(data)
        return bool(data)

    def read(self) -> bytes:
        """Decrypt the bytes that have arrived at the client."""
        found = b""
        with suppress(ssl.SSLWantReadError, ssl.SSLZeroReturnError):
            while data := self.client.read(65536):
                found += data
        return found

    def write(self, data: bytes) -> None:
        """Encrypt at the client, and send."""
        self.client.write(data)
        self.theirs.send(self.outgoing.read())


@pytest.fixture
def pair(certificates: Certificates) -> Iterator[Pair]:
    pair = Pair(certificates)
    yield pair
    pair.ours.close()
    pair.theirs.close()


def test_send_takes_what_the_caller_likes_after_it_was_blocked(pair: Pair) -> None:
    """OpenSSL's own sockets insist on the same bytes: a ping that overtakes would corrupt the stream."""
    taken = bytearray()
    number = 0
    received = b""
    while number < 300:
        chunk = bytes((number % 256,)) * (1 + 997 * number % 5000)
        number += 1
        try:
            count = pair.codec.send(chunk)
        except BlockingIOError:
            assert pair.codec.unsent
            pair.pull()
            received += pair.read()
            continue
        taken += chunk[:count]
    while not pair.codec.pump() or pair.pull():
        pair.pull()
        received += pair.read()
    received += pair.read()
    assert received == bytes(taken)
    assert not pair.codec.unsent


def test_send_holds_a_bounded_amount_of_ciphertext(pair: Pair) -> None:
    taken = pair.codec.send(bytes(10_000_000))
    assert 0 < taken < 400_000
    with pytest.raises(BlockingIOError):
        pair.codec.send(b"more")


def test_half_a_record_blocks_and_is_no_end(pair: Pair) -> None:
    buffer = memoryview(bytearray(65536))
    with pytest.raises(BlockingIOError):
        pair.codec.recv_into(buffer)
    pair.client.write(b"hello")
    record = pair.outgoing.read()
    pair.theirs.send(record[:10])
    with pytest.raises(BlockingIOError):
        pair.codec.recv_into(buffer)
    pair.theirs.send(record[10:])
    assert bytes(buffer[: pair.codec.recv_into(buffer)]) == b"hello"


@pytest.mark.parametrize("sizes", [[1], [1, 1], [16_384, 16_384, 1], [7000, 1, 0, 9000], [1] * 50])
@pytest.mark.parametrize("cut", [None, 1, 4, 5, 6, 20])
def test_one_read_decrypts_all_whole_records_and_the_next_one_the_rest(
    pair: Pair, sizes: list[int], cut: int | None
) -> None:
    """Nothing announces a record that stays in OpenSSL."""
    buffer = memoryview(bytearray(65536))
    pair.codec._at_once = READ_AT_ONCE
    for sock in (pair.ours, pair.theirs):
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 18)
    for size in sizes:
        pair.client.write(b"x" * size)
    whole = pair.outgoing.read()
    pair.client.write(b"more")
    more = pair.outgoing.read()
    begun = more[:cut] if cut else b""
    pair.theirs.send(whole + begun)
    assert pair.codec.recv_into(buffer) == sum(sizes)
    assert pair.codec._object.pending() == pair.codec._incoming.pending == 0
    pair.theirs.send(more[len(begun) :])
    assert bytes(buffer[: pair.codec.recv_into(buffer)]) == b"more"


def test_data_in_front_of_the_end_is_read_first(pair: Pair) -> None:
    buffer = memoryview(bytearray(65536))
    pair.write(b"last words")
    with pytest.raises(ssl.SSLWantReadError):
        pair.client.unwrap()
    pair.theirs.send(pair.outgoing.read())
    pair.theirs.shutdown(socket.SHUT_WR)
    assert bytes(buffer[: pair.codec.recv_into(buffer)]) == b"last words"
    assert pair.codec.recv_into(buffer) == 0


def test_data_in_front_of_a_broken_record_is_read_first(pair: Pair) -> None:
    buffer = memoryview(bytearray(65536))
    pair.client.write(b"good")
    pair.theirs.send(pair.outgoing.read() + b"\x17\x03\x03\x00\x20" + b"x" * 32)
    assert bytes(buffer[: pair.codec.recv_into(buffer)]) == b"good"
    pair.theirs.send(b"more")
    with pytest.raises(ssl.SSLError):
        pair.codec.recv_into(buffer)


def test_close_notify_alone_is_the_end(pair: Pair) -> None:
    with pytest.raises(ssl.SSLWantReadError):
        pair.client.unwrap()
    pair.theirs.send(pair.outgoing.read())
    assert pair.codec.recv_into(memoryview(bytearray(65536))) == 0


def test_records_of_a_byte_are_read_in_small_pieces_and_large_ones_in_large_ones(pair: Pair) -> None:
    """40 KiB of the smallest records took 5 ms of a turn."""
    buffer, counts = memoryview(bytearray(65536)), [0]
    pair.theirs.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 18)
    for size, times in ((1, 3000), (16_000, 12)):
        for _ in range(times):
            pair.client.write(bytes(size))
        raw, counts[:] = pair.outgoing.read(), [0]
        while sum(counts) < size * times:
            with suppress(BlockingIOError):
                raw = raw[pair.theirs.send(raw) :]
            with suppress(BlockingIOError):
                counts.append(pair.codec.recv_into(buffer))
        assert max(counts) < 400 or size > 1
    assert max(counts) > 30_000


def test_the_default_context_is_made_once_for_each_place_of_certificates(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    before = default_context()
    assert default_context() is before
    assert before.verify_mode is ssl.CERT_REQUIRED
    assert before.check_hostname
    trustme.CA().cert_pem.write_to_path(tmp_path / "ca.pem")
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "ca.pem"))
    assert default_context() is not before
    assert len(default_context().get_ca_certs()) == 1
