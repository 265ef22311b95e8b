"""Listening sockets: bound where asked, and errors as the system has them."""

import socket
import sys
from pathlib import Path

import pytest
import trio

import wsframe
from tests.hostile.place import BOUND, Place, Recorder
from tests.wire import Peer
from wsframe.server.sockets.listen import address_of, default_hosts, peer_address

needs_unix = pytest.mark.skipif(sys.platform == "win32", reason="no unix sockets here")


def ipv6_works() -> bool:
    try:
        with socket.socket(socket.AF_INET6) as sock:
            sock.bind(("::1", 0))
    except OSError:
        return False
    return True


needs_ipv6 = pytest.mark.skipif(not ipv6_works(), reason="this machine has no ::1")


async def test_open_server_raises_a_taken_port_bare() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken, pytest.raises(OSError, match="in use"):
        async with wsframe.open_server(wsframe.Registry(), port=taken.getsockname()[1]):
            pytest.fail("it serves")


@needs_ipv6
async def test_ipv6_address_is_served_and_named_in_brackets(plain: Place) -> None:
    resource = Recorder()
    async with plain.serve(resource, host="::1") as served:
        assert served.server.addresses == (f"ws://[::1]:{served.address[1]}",)
        peer = await served.open(host=f"[::1]:{served.address[1]}")
        await peer.text("six")
        assert await peer.message() == "six"
        assert resource.arrived[0].host == "::1"


async def test_loopback_answers_only_to_loopback_names_unless_told(plain: Place) -> None:
    async with plain.serve(Recorder()) as served:
        for host, status in (
            ("localhost:1", 101),
            ("LOCALHOST", 101),
            ("127.0.0.1", 101),
            ("[::1]", 101),
            ("a.b", 400),
        ):
            assert (await (await served.connect()).upgrade(host=host)).status == status, host
    async with plain.serve(Recorder(), hosts=["example.com"]) as served:
        for host, status in (("example.com", 101), ("localhost", 400)):
            assert (await (await served.connect()).upgrade(host=host)).status == status, host


async def test_given_sockets_are_served_and_closed_at_the_end(plain: Place) -> None:
    sockets = [socket.socket(), socket.socket()]
    for sock in sockets:
        sock.bind(("127.0.0.1", 0))
    async with plain.serve(Recorder(), sockets=sockets) as served:
        assert len(served.server.addresses) == 2
        for sock in sockets:
            served.address = sock.getsockname()
            await served.open()
    assert [sock.fileno() for sock in sockets] == [-1, -1]


@needs_unix
async def test_unix_path_is_served_and_removed_at_the_end(plain: Place, tmp_path: Path) -> None:
    path = str(tmp_path / "wsframe.sock")
    resource = Recorder()
    registry = wsframe.Registry()
    registry.register("/", resource, wsframe.any_origin)
    with trio.fail_after(BOUND):
        async with wsframe.open_server(registry, unix=path, poller=plain.poller) as server:
            assert server.addresses == (f"unix:{path}",)
            peer = Peer(await trio.open_unix_socket(path))
            assert (await peer.upgrade(host="any.example")).status == 101, "a proxy has forwarded each request"
            await peer.text("hello")
            assert await peer.message() == "hello"
            assert (resource.arrived[0].host, resource.arrived[0].port) == ("", 0)
            await peer.close()
            await peer.rest.until_close()
            peer.hang_up()
    assert list(tmp_path.iterdir()) == []  # noqa: ASYNC240


def test_sockets_and_unix_together_are_refused(tmp_path: Path) -> None:
    with socket.socket() as sock, pytest.raises(ValueError, match="not both"):
        trio.run(lambda: wsframe.serve(sockets=[sock], unix=str(tmp_path / "x")))


def test_address_names_scheme_host_and_port() -> None:
    with socket.create_server(("127.0.0.1", 0)) as sock:
        port = sock.getsockname()[1]
        assert address_of(sock, secure=False) == f"ws://127.0.0.1:{port}"
        assert address_of(sock, secure=True) == f"wss://127.0.0.1:{port}"


def bound(family: int, address: str) -> socket.socket:
    sock = socket.socket(family)
    if family == socket.AF_INET6:
        sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
    sock.bind((address, 0))
    return sock


@pytest.mark.parametrize(
    ("family", "address", "names"),
    [
        (socket.AF_INET, "127.0.0.1", set()),
        (socket.AF_INET, "127.0.0.2", {"127.0.0.2"}),
        pytest.param(socket.AF_INET6, "::1", set(), marks=needs_ipv6),
        pytest.param(socket.AF_INET6, "::ffff:127.0.0.1", {"::ffff:7f00:1"}, marks=needs_ipv6),
        (socket.AF_INET, "0.0.0.0", None),
        pytest.param(socket.AF_INET6, "::", None, marks=needs_ipv6),
    ],
)
def test_a_loopback_socket_answers_loopback_names_and_its_own(
    family: int, address: str, names: set[str] | None
) -> None:
    with bound(family, address) as sock:
        hosts = default_hosts(sock, "My.Name")
    wanted = None if names is None else {"localhost", "127.0.0.1", "::1", "my.name", *names}
    assert hosts == wanted


async def statuses(server: wsframe.Server, host: str) -> list[bytes]:
    """Return the answer of each socket of a server to a Host name."""
    found = []
    for address in server.addresses:
        if address.startswith("unix:"):
            stream: trio.SocketStream = await trio.open_unix_socket(address.removeprefix("unix:"))
        else:
            name, _, port = address.removeprefix("ws://").rpartition(":")
            stream = await trio.open_tcp_stream({"0.0.0.0": "127.0.0.1"}.get(name, name.strip("[]")), int(port))
        async with stream:
            await stream.send_all(f"GET / HTTP/1.1\r\nHost: {host}\r\n\r\n".encode())
            found.append((await stream.receive_some()).split(b" ")[1])
    return found


@needs_unix
@needs_ipv6
async def test_the_names_answered_are_those_of_each_socket(tmp_path: Path) -> None:
    """Beside one that answers to all a socket on loopback is still out of a rebound page's reach."""
    unix = socket.socket(socket.AF_UNIX)
    unix.bind(str(tmp_path / "socket"))
    local, everywhere = bound(socket.AF_INET, "127.0.0.1"), bound(socket.AF_INET, "0.0.0.0")
    mapped = bound(socket.AF_INET6, "::ffff:127.0.0.1")
    registry = wsframe.Registry(alone=True)
    async with wsframe.open_server(registry, sockets=[local, unix, everywhere, mapped]) as server:
        assert await statuses(server, "evil.example") == [b"400", b"426", b"426", b"400"]
        assert await statuses(server, "localhost") == [b"426"] * 4
        assert await statuses(server, "[0:0:0:0:0:0:0:1]") == [b"426"] * 4
        assert await statuses(server, "127.0.0.2") == [b"400", b"426", b"426", b"400"]
    listening = [bound(socket.AF_INET, "127.0.0.1"), bound(socket.AF_INET, "0.0.0.0")]
    async with wsframe.open_server(registry, sockets=listening, hosts=["Chat.Example", "[::2]"]) as server:
        assert await statuses(server, "localhost") == [b"400"] * 2
        assert await statuses(server, "chat.example") == [b"426"] * 2
        assert await statuses(server, "[0::2]:80") == [b"426"] * 2


@pytest.mark.parametrize(
    ("address", "peer"),
    [
        (("10.0.0.1", 5), ("10.0.0.1", 5)),
        (("::1", 5, 0, 0), ("::1", 5)),
        (("::ffff:10.0.0.1", 5, 0, 0), ("10.0.0.1", 5)),
        (("::ffff:1", 5, 0, 0), ("::ffff:1", 5)),
        ("", ("", 0)),
    ],
)
def test_peer_has_one_name_whatever_socket_it_came_by(address: object, peer: tuple[str, int]) -> None:
    assert peer_address(address) == peer
