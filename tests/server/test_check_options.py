"""Options that are wrong are told at once, by one error that names them."""

from __future__ import annotations

import socket
import ssl
from pathlib import Path
from typing import Any

import pytest
import trio

import wsframe
from tests.patience import PATIENCE
from wsframe import Capacity, Limits, Registry, Resource, Timeouts


class Chat(Resource):
    """Something that is no registry."""


REGISTRIES: dict[str, tuple[object, str]] = {
    "resource": (Chat(), r"Chat is a resource: register it first, with wsframe.register_global_resource\('/', Chat"),
    "class of a resource": (Chat, "Chat is a resource"),
    "class": (Registry, "or None for the global one, not the class Registry"),
    "name": ("chat:app", "wsframe serve chat:app"),
    "list": ([Chat()], "of type list"),
    "mapping": ({"/": Chat()}, r"of type dict: call wsframe.register_global_resource\(path, resource\) for each"),
    "falsy": (False, "of type bool$"),
    "port": (8000, "give the port by its name, port=8000"),
}

WRONG: dict[str, tuple[dict[str, Any], type[Exception], str]] = {
    "port beyond": ({"port": 99999}, ValueError, "port is an int from 0 to 65535, not 99999"),
    "port below": ({"port": -1}, ValueError, "from 0 to 65535, not -1"),
    "port as text": ({"port": "8000"}, TypeError, "port is an int from 0 to 65535, not '8000' of type str"),
    "port as float": ({"port": 8000.0}, TypeError, "port is an int"),
    "port as bool": ({"port": True}, TypeError, "port is an int"),
    "port as None": ({"port": None}, TypeError, "port is an int"),
    "host as bytes": ({"host": b"127.0.0.1"}, TypeError, "host is a name or address as a str"),
    "host as pair": ({"host": ("127.0.0.1", 80)}, TypeError, "host is a name"),
    "host as port": ({"host": 8000}, TypeError, "host is a name"),
    "hosts as str": ({"hosts": "chat.example"}, TypeError, "hosts is a collection of names"),
    "hosts of bytes": ({"hosts": [b"chat.example"]}, TypeError, "hosts is a collection of names.*is not a str"),
    "hosts as int": ({"hosts": 5}, TypeError, "hosts is a collection"),
    "unix as Path": ({"unix": Path("x")}, TypeError, r"unix is a path as a str, or None, not PosixPath\('x'\)"),
    "unix empty": ({"unix": ""}, ValueError, "unix is the path of a socket, not ''"),
    "unix with NUL": ({"unix": "\0x"}, ValueError, "unix is the path"),
    "sockets as str": ({"sockets": "x"}, TypeError, "sockets is a list"),
    "descriptors": ({"sockets": [3]}, TypeError, "3 of type int is not a socket.socket"),
    "no sockets": ({"sockets": []}, ValueError, "nothing would be served"),
    "ssl_context as path": ({"ssl_context": "cert.pem"}, TypeError, "ssl_context is an ssl.SSLContext"),
    "ssl_context as bool": ({"ssl_context": True}, TypeError, "ssl_context is an ssl.SSLContext"),
    "context of a client": (
        {"ssl_context": ssl.create_default_context()}, ValueError, "ssl_context is one for clients",
    ),
    "limits as dict": ({"limits": {}}, TypeError, r"limits is a wsframe.Limits, such as .*, not \{\} of type dict"),
    "limits as class": ({"limits": Limits}, TypeError, "not the class Limits"),
    "limits as None": ({"limits": None}, TypeError, "limits is a wsframe.Limits"),
    "timeouts as number": ({"timeouts": 5}, TypeError, "timeouts is a wsframe.Timeouts"),
    "timeouts as limits": ({"timeouts": Limits()}, TypeError, "timeouts is a wsframe.Timeouts"),
    "capacity as number": ({"capacity": 100}, TypeError, "capacity is a wsframe.Capacity"),
    "deflate as bool": ({"deflate": True}, TypeError, r"deflate is a wsframe.Deflate, such as Deflate.shared\(\)"),
    "deflate as maker": ({"deflate": wsframe.Deflate.shared}, TypeError, "deflate is a wsframe.Deflate"),
    "debug as text": ({"debug": "yes"}, TypeError, "debug is True or False"),
    "debug as int": ({"debug": 1}, TypeError, "debug is True or False"),
    "poller as number": ({"poller": 5}, TypeError, "poller is a name"),
    "versions as int": ({"versions": 13}, TypeError, r"versions is a collection of version numbers, such as \(13,\)"),
    "versions as text": ({"versions": "13"}, TypeError, "versions is a collection"),
    "versions without 13": ({"versions": (8,)}, ValueError, "versions must include 13"),
}  # fmt: skip


@pytest.mark.parametrize(("options", "error", "words"), WRONG.values(), ids=WRONG)
async def test_serve_and_open_server_tell_a_wrong_option(
    options: dict[str, Any], error: type[Exception], words: str
) -> None:
    with pytest.raises(error, match=words) as caught:
        await wsframe.serve(Registry(alone=True), **{"port": 0, **options})
    assert type(caught.value) is error
    with pytest.raises(error, match=words):
        async with wsframe.open_server(Registry(alone=True), **{"port": 0, **options}):
            pytest.fail("it serves")


async def test_sockets_of_another_kind_are_told() -> None:
    registry = Registry(alone=True)
    with socket.socket() as sock, trio.socket.socket() as other, socket.socket(type=socket.SOCK_DGRAM) as datagrams:
        with pytest.raises(TypeError, match="sockets is a list of bound sockets, or None, not <socket"):
            await wsframe.serve(registry, sockets=sock)  # type: ignore[arg-type]
        with pytest.raises(TypeError, match=r"is not a socket\.socket"):
            await wsframe.serve(registry, sockets=[other])  # type: ignore[list-item]
        with pytest.raises(ValueError, match="of the kind SOCK_STREAM"):
            await wsframe.serve(registry, sockets=[datagrams])


@pytest.mark.parametrize(("options", "error", "words"), WRONG.values(), ids=WRONG)
def test_run_tells_a_wrong_option(options: dict[str, Any], error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words):
        wsframe.run(Registry(alone=True), **{"port": 0, **options})


@pytest.mark.parametrize(("registry", "words"), REGISTRIES.values(), ids=REGISTRIES)
def test_run_tells_what_is_no_registry(registry: Any, words: str) -> None:
    with pytest.raises(TypeError, match=words):
        wsframe.run(registry, port=0)


def test_an_option_that_does_not_exist_is_told_with_one_that_does() -> None:
    with pytest.raises(TypeError, match=r"a server has no option 'prot': is it 'port'\?"):
        wsframe.run(Registry(alone=True), prot=8000)  # type: ignore[call-arg]
    with pytest.raises(TypeError, match=r"'max_clients': it is a field of capacity, capacity=Capacity\(max_clients="):
        wsframe.run(Registry(alone=True), max_clients=8)  # type: ignore[call-arg]
    with pytest.raises(TypeError, match=r"'ssl_keyfile': certificates=Certificate\(certfile="):
        wsframe.run(Registry(alone=True), ssl_keyfile="key.pem")  # type: ignore[call-arg]
    with pytest.raises(TypeError, match=r"'origins': origins are registered with a path"):
        wsframe.run(Registry(alone=True), origins=["*"])  # type: ignore[call-arg]
    with pytest.raises(TypeError, match=r"a server has no option 'number'$"):
        wsframe.run(Registry(alone=True), number=4)  # type: ignore[call-arg]


def test_an_address_that_cannot_be_bound_is_told_with_the_address(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(OSError, match=f"cannot listen at 127.0.0.1:{port}: Address already in use") as caught:
            wsframe.run(Registry(alone=True), port=port)
        assert caught.value.errno is not None
        assert [one.name for one in caught.traceback][1:] == ["run"], "frames of wsframe would hide the caller's line"
    with pytest.raises(socket.gaierror, match=r"cannot listen at nowhere\.invalid:0: "):
        wsframe.run(Registry(alone=True), host="nowhere.invalid", port=0)
    with pytest.raises(OSError, match=r"^cannot listen at x+: AF_UNIX path too long$"):
        wsframe.run(Registry(alone=True), unix="x" * 200)
    missing = tmp_path / "nowhere" / "socket"
    with pytest.raises(FileNotFoundError, match=f"cannot listen at {missing}: No such file"):
        wsframe.run(Registry(alone=True), unix=str(missing))


@pytest.mark.parametrize(
    "options",
    [
        {"capacity": Capacity(backlog=2**40, max_clients=2**70)},
        {"limits": Limits(unsent_low_water=2**40, max_outbox=2**50, max_message=2**50)},
        {"timeouts": Timeouts(write_stall=float("inf"), drain=1e30, ping_interval=float("inf"), close=1e9)},
    ],
    ids=["capacity", "limits", "timeouts"],
)
async def test_values_that_are_larger_than_the_kernel_takes_serve_as_the_largest(options: dict[str, Any]) -> None:
    registry = Registry(alone=True)
    registry.register("/", Chat(), wsframe.any_origin)
    with trio.fail_after(PATIENCE):
        async with (
            wsframe.open_server(registry, port=0, **options) as server,
            wsframe.connect(server.addresses[0] + "/") as websocket,
        ):
            await websocket.ping()
