"""Binding addresses: all or none, with the permissions asked for, and nothing left at the end."""

from __future__ import annotations

import errno
import os
import socket
import stat
import sys
from pathlib import Path

import pytest
import trio

import wsframe
from tests.descriptors import none_stays_open
from tests.server.sockets.test_listen import needs_ipv6, needs_unix
from wsframe.server.sockets.addresses import parse_address
from wsframe.server.sockets.bind import UnixOwner, bind_tcp, bind_unix, bound, read_owner

needs_abstract = pytest.mark.skipif(sys.platform != "linux", reason="abstract sockets are Linux's")
NOWHERE = wsframe.Registry(alone=True)


def test_port_0_takes_a_free_port_the_same_for_every_address() -> None:
    sockets = bind_tcp(None, 0, 5)
    assert len({sock.getsockname()[1] for sock in sockets}) == 1
    assert sockets[0].getsockname()[1] != 0
    for sock in sockets:
        sock.close()


def test_taken_port_is_an_oserror_and_nothing_stays_bound() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        with none_stays_open(), pytest.raises(OSError, match="in use") as caught:
            bind_tcp("127.0.0.1", taken.getsockname()[1], 5)
        assert caught.value.errno == errno.EADDRINUSE


@needs_unix
def test_stale_unix_socket_is_replaced_and_a_live_one_refused(tmp_path: Path) -> None:
    path = str(tmp_path / "wsframe.sock")
    bind_unix(path, 5).close()
    assert os.path.exists(path)
    with bind_unix(path, 5):
        with pytest.raises(OSError, match="a server is listening") as caught:
            bind_unix(path, 5)
        assert caught.value.errno == errno.EADDRINUSE
        assert os.path.exists(path)


@needs_unix
def test_live_unix_socket_with_a_full_backlog_is_refused_without_waiting(tmp_path: Path) -> None:
    path = str(tmp_path / "busy.sock")
    waiting = [socket.socket(socket.AF_UNIX) for _ in range(3)]
    with bind_unix(path, 0):
        for sock in waiting:
            sock.setblocking(False)
            sock.connect_ex(path)
        with pytest.raises(OSError, match="a server is listening"):
            bind_unix(path, 5)
    for sock in waiting:
        sock.close()


@needs_unix
def test_file_that_is_no_socket_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "data"
    path.write_text("precious")
    with pytest.raises(OSError, match="in use"):
        bind_unix(str(path), 5)
    assert path.read_text() == "precious"


@needs_unix
async def test_many_addresses_are_served_and_named(tmp_path: Path) -> None:
    path = tmp_path / "chat.sock"
    with socket.create_server(("127.0.0.1", 0)) as inherited:
        fd, port = os.dup(inherited.fileno()), inherited.getsockname()[1]
        bind = ["127.0.0.1:0", "localhost:0", f"unix:{path}", f"fd:{fd}"]
        async with wsframe.open_server(NOWHERE, bind=bind) as server:
            tcp, by_name, *others = server.addresses
            assert tcp.startswith("ws://127.0.0.1:")
            assert by_name.partition("//")[2].startswith(("127.0.0.1:", "[::1]:"))
            assert others[-2:] == [f"unix:{path}", f"ws://127.0.0.1:{port}"]
            assert len({*server.addresses}) == len(server.addresses)
    assert not path.exists()


async def test_host_and_port_are_served_beside_bind_where_they_are_named() -> None:
    async with wsframe.open_server(NOWHERE, bind="127.0.0.1:0") as server:
        assert len(server.addresses) == 1
    async with wsframe.open_server(NOWHERE, bind="127.0.0.1:0", port=0) as server:
        assert len(server.addresses) == 2


@needs_unix
async def test_unix_and_sockets_are_served_beside_bind(tmp_path: Path) -> None:
    path = str(tmp_path / "socket")
    async with wsframe.open_server(NOWHERE, unix=path, bind=["127.0.0.1:0"]) as server:
        assert [address[:3] for address in server.addresses] == ["uni", "ws:"]
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        async with wsframe.open_server(NOWHERE, sockets=[sock], bind=[f"unix:{path}"]) as server:
            assert [address[:3] for address in server.addresses] == ["ws:", "uni"]


@needs_unix
def test_if_one_address_fails_none_stays_bound(tmp_path: Path) -> None:
    path, old = tmp_path / "new.sock", tmp_path / "old.sock"
    bind_unix(str(old), 5).close()
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        places = [parse_address(text) for text in (f"unix:{path}", f"unix:{old}", "127.0.0.1:0", f"127.0.0.1:{port}")]
        with (
            none_stays_open(),
            pytest.raises(OSError, match=rf"^\[Errno \d+\] cannot listen at 127.0.0.1:{port}: .*in use"),
            bound(places, 5),
        ):
            pytest.fail("it is bound")
    assert list(tmp_path.iterdir()) == []


def test_one_port_twice_is_refused_and_port_0_is_another_one_each_time() -> None:
    with bound([parse_address("127.0.0.1:0"), parse_address("127.0.0.1:0")], 5) as (one, other):
        assert one.getsockname() != other.getsockname()
        port = one.getsockname()[1]
    places = [parse_address(f"127.0.0.1:{port}")] * 2
    with pytest.raises(OSError, match=f"127.0.0.1:{port}: it is given twice"), bound(places, 5):
        pytest.fail("it is bound")
    with (
        pytest.raises(OSError, match=r"cannot listen at \*:\d+: .*in use"),
        bound([parse_address(f"127.0.0.1:{port}"), parse_address(f"*:{port}")], 5),
    ):
        pytest.fail("it is bound")


@needs_unix
def test_one_path_twice_is_refused_however_it_is_written(tmp_path: Path) -> None:
    for other in (tmp_path / "sock", tmp_path / "." / "sock", f"{tmp_path}/../{tmp_path.name}/sock"):
        places = [parse_address(f"unix:{tmp_path / 'sock'}"), parse_address(f"unix:{other}")]
        with pytest.raises(OSError, match=r"twice|a server is listening"), bound(places, 5):
            pytest.fail("it is bound")
        assert list(tmp_path.iterdir()) == []


@needs_unix
def test_a_unix_socket_has_the_mode_and_owner_asked_for(tmp_path: Path) -> None:
    path = tmp_path / "sock"
    mask = os.umask(0o077)
    try:
        owner = UnixOwner(0o666, *read_owner(f"{os.getuid()}:{os.getgid()}"))
        with bind_unix(str(path), 5, owner):
            assert stat.S_IMODE(path.stat().st_mode) == 0o666
            assert (path.stat().st_uid, path.stat().st_gid) == (os.getuid(), os.getgid())
        path.unlink()
    finally:
        os.umask(mask)


@needs_unix
async def test_mode_and_owner_are_options_of_a_server(tmp_path: Path) -> None:
    path = tmp_path / "sock"
    async with wsframe.open_server(NOWHERE, bind=f"unix:{path}", unix_mode=0o600, unix_owner=f":{os.getgid()}"):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
    with pytest.raises(ValueError, match="unix_mode= and unix_owner= need unix="):
        await wsframe.serve(NOWHERE, port=0, unix_mode=0o600)


@needs_unix
def test_a_socket_that_cannot_have_its_owner_is_removed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*args: object) -> None:
        raise PermissionError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr(os, "chown", refuse)
    with pytest.raises(PermissionError), bind_unix(str(tmp_path / "sock"), 5, UnixOwner(None, 0)):
        pytest.fail("it is bound")
    assert list(tmp_path.iterdir()) == []


@needs_unix
@pytest.mark.parametrize("owner", ["nobody-of-that-name", ":no-such-group", ":", ""])
def test_an_owner_that_does_not_exist_is_refused_before_anything_is_bound(owner: str) -> None:
    with pytest.raises(ValueError, match="unix_owner"):
        wsframe.ServeOptions(unix="sock", unix_owner=owner)


@needs_unix
@pytest.mark.parametrize("length", [107, 108, 130])
def test_a_path_too_long_for_the_kernel_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, length: int
) -> None:
    monkeypatch.chdir(tmp_path)
    path = "x" * length
    if length > 107:
        with pytest.raises(OSError, match="AF_UNIX path too long"):
            bind_unix(path, 5)
        assert list(tmp_path.iterdir()) == []
    elif sys.platform == "linux":
        with bind_unix(path, 5):
            assert os.path.exists(path)


@needs_unix
async def test_a_socket_is_removed_from_a_folder_that_the_program_has_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    async with wsframe.open_server(NOWHERE, bind="unix:chat.sock"):
        monkeypatch.chdir("/")
    assert list(tmp_path.iterdir()) == []  # noqa: ASYNC240


@needs_abstract
async def test_an_abstract_socket_is_served_and_leaves_no_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    name = f"@wsframe-test-{os.getpid()}"
    async with wsframe.open_server(NOWHERE, bind=f"unix:{name}") as server:
        assert server.addresses == (f"unix:{name}",)
        with pytest.raises(wsframe.HandshakeRejected, match="404"):
            await wsframe.connect("ws://localhost/", unix=name).__aenter__()
        with pytest.raises(OSError, match="in use"):
            await wsframe.serve(NOWHERE, unix=name)
    assert list(tmp_path.iterdir()) == []  # noqa: ASYNC240
    with pytest.raises(OSError, match="neither mode nor owner"):
        await wsframe.serve(NOWHERE, unix=name, unix_mode=0o600)


@needs_ipv6
@pytest.mark.skipif(sys.platform != "linux", reason="the interface is called lo on Linux")
async def test_an_address_can_have_a_zone_by_name_or_number() -> None:
    number = socket.if_nametoindex("lo")
    for zone in ("lo", f"{number}", "25lo"):
        async with wsframe.open_server(NOWHERE, bind=f"[::1%{zone}]:0") as server:
            assert server.addresses[0].startswith("ws://[::1")
    with pytest.raises(OSError, match=r"\[fe80::1%nowhere\]:0: there is no network interface 'nowhere' here"):
        await wsframe.serve(NOWHERE, bind="[fe80::1%nowhere]:0")


async def test_what_cannot_be_served_is_refused_by_its_cause(tmp_path: Path) -> None:
    left, right = socket.socketpair()
    with left, right, socket.socket() as unbound, socket.socket(type=socket.SOCK_DGRAM) as datagrams:
        reading, writing = os.pipe()
        for fd, words in (
            (unbound.fileno(), "not bound to an address"),
            (datagrams.fileno(), "kind SOCK_DGRAM, and a server needs SOCK_STREAM"),
            (left.fileno(), "a connection, not a listening socket"),
            (reading, "not an inherited socket"),
        ):
            with pytest.raises(OSError, match=f"cannot listen at fd:{fd}: .*{words}"):
                await wsframe.serve(NOWHERE, bind=f"fd:{fd}")
            os.fstat(fd)  # it stays open: it is not ours
        with pytest.raises(ValueError, match="cannot be served: it is not bound"):
            await wsframe.serve(NOWHERE, sockets=[unbound])
        os.close(reading)
        os.close(writing)


async def test_one_descriptor_twice_is_refused() -> None:
    with socket.create_server(("127.0.0.1", 0)) as sock:
        fd = sock.fileno()
        with pytest.raises(OSError, match="given twice"):
            await wsframe.serve(NOWHERE, bind=[f"fd:{fd}", f"fd:{fd}"])


async def test_systemd_without_sockets_from_it_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("LISTEN_PID", raising=False)
    for bind in ("systemd", "fd:web"):
        with pytest.raises(OSError, match=rf"cannot listen at {bind}: systemd passes no socket to this process"):
            await wsframe.serve(NOWHERE, bind=bind)


@pytest.mark.skipif(sys.platform == "win32", reason="names of hosts differ there")
async def test_each_socket_answers_to_the_name_it_was_bound_by() -> None:
    async with wsframe.open_server(NOWHERE, bind=["localhost:0", "127.0.0.1:0"], host="127.0.0.1") as server:
        for address in server.addresses:
            host, _, port = address.removeprefix("ws://").rpartition(":")
            stream = await trio.open_tcp_stream(host.strip("[]"), int(port))
            async with stream:
                await stream.send_all(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
                assert (await stream.receive_some()).startswith(b"HTTP/1.1 426")
