"""A form that an error shows is accepted: a user who writes it meets no second error."""

from __future__ import annotations

import ast
import inspect
import re
import warnings
from collections.abc import Callable
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest

import wsframe
from wsframe import (
    Client,
    JSONResource,
    Registry,
    Reject,
    Request,
    Resource,
    Response,
    ServeOptions,
    http_routes,
    origin_exact,
    origin_prefix,
)
from wsframe.backplane.postgres.backplane import settings_of
from wsframe.backplane.redis.address import redis_address
from wsframe.cli.errors import Mistake
from wsframe.cli.input_lines import close_of
from wsframe.http.hostnames import host_names
from wsframe.net.trusted_proxies import TrustedProxies
from wsframe.outgoing.exceptions import InvalidURL
from wsframe.outgoing.url import Target
from wsframe.resources.check_hooks import MEANT
from wsframe.server.check_options import check_registry
from wsframe.server.newcomers.decide import handle
from wsframe.server.sockets.addresses import parse_address

SHOWING = re.compile(r"\b(?:write|use) |did you mean")
ELSEWHERE = {
    "backplane/redis/link.py": "a service of another kind",
    "cli/new.py": "no form: it cannot write a file",
    "cli/top.py": "options of a command, which tests/cli/test_top.py tries",
    "server/serving.py": "a block of code, which docs run",
}


def told(call: Callable[[], object], kind: type[BaseException], pattern: str) -> re.Match[str]:
    """Return the match of a pattern in the error of a call."""
    with pytest.raises(kind) as info:
        call()
    found = re.search(pattern, str(info.value))
    assert found is not None, info.value
    return found


def test_each_module_whose_errors_show_a_form_is_tried_here() -> None:
    found, package = set(), Path(wsframe.__file__).parent
    tried = re.findall(r"# of ((?:\w+/)*\w+\.py)", inspect.getsource(inspect.getmodule(told) or told))
    for path in package.rglob("*.py"):
        text = path.read_text()
        if not re.search(r"\b(?:write|use|mean)\b", text) or not re.search(r"\braise\b|\bwarn\b", text):
            continue  # most modules need no parser
        for node in ast.walk(ast.parse(text)):
            warns = isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "warn"
            inside = ast.walk(node) if isinstance(node, ast.Raise) or warns else ()
            texts = [one.value for one in inside if isinstance(one, ast.Constant) and isinstance(one.value, str)]
            if any(map(SHOWING.search, texts)):
                found.add(path.relative_to(package).as_posix())
    assert len(found) > len(ELSEWHERE)
    assert {
        name for name in found - set(ELSEWHERE) if not any(f"/{name}".endswith(f"/{one}") for one in tried)
    } == set()


@pytest.mark.parametrize(
    "text",
    ["ws://h", "ws://h/path", "http://h:80/x", "wss://u:p@h:1", "http://[::1]:80", "http://[::1]", "http://:80", "http://",
     "https:///x", "ws://*:80", "ws://unix:/x", "/run/x", "./x", "../x", "@x", "//h:80", ":8000"],
)  # fmt: skip
def test_addresses(text: str) -> None:
    found = told(lambda: parse_address(text), ValueError, r"(?:scheme:|written) '(.*?)'|every|(\*:[0-9]+) for every")
    parse_address(found[1] or f"*{text}")


@pytest.mark.parametrize(
    "host",
    ["http://a.com:80/x", "ws://a.com", "a.com:80", "[::1]:80", "[::1]", ":8000", "  ", "*", "*:80", "0.0.0.0:99999",
     "localhost:http", "unix:/run/x", "/run/x", "./x", "@x", "http://", "u@h", "http://u:p@h:8", "a.com/", "ws:///x"],
)  # fmt: skip
def test_hosts_to_listen_at(host: str) -> None:
    found = told(
        lambda: ServeOptions(host=host), ValueError, "give (?:host=(.*?)(?: and port=(.*))?|unix=(.*)) instead"
    )
    kept = {"host": found[1], "port": found[2], "unix": found[3]}
    ServeOptions(**{name: ast.literal_eval(value) for name, value in kept.items() if value is not None})


@pytest.mark.parametrize(
    "hosts",
    ["a.com", "https://a.com/x", "a.com:80", "a.com,b.com", "a.com, b.com", "*", "", "*.a.com", "[::1]:80", "ü.de"],
)
def test_names_of_hosts(hosts: str) -> None:
    host_names(
        ast.literal_eval(told(lambda: host_names(hosts), TypeError, r"use hosts=(\[.*\])$")[1])
    )  # of hostnames.py
    told(lambda: host_names([]), ValueError, r"None for the default, \['\*'\] for any")
    host_names(["*"])


@pytest.mark.parametrize("host", ["https://a.com/x", "a.com:80", "[::1]:80", "u@a.com", "a.com/", "http://[::1]#x"])
def test_a_name_of_a_host(host: str) -> None:
    host_names([ast.literal_eval(told(lambda: host_names([host]), ValueError, "('.*') instead of")[1])])


ORIGINS = [
    "https://a.com", "wss://a.com", "https://*.a.com", "https://a.com/x", "a.com", "null", "*", "https://", "ws:a.com",
    "HTTPS://A.com:443", "http://::1", "https://a.com:99999", "blob:https://a.com/x", "https://u@a.com", "file://x",
]  # fmt: skip


@pytest.mark.parametrize("origin", ORIGINS)
def test_origins(origin: str) -> None:
    register: Any = Registry().register
    validator = told(lambda: register("/x", Resource(), origin), TypeError, r"(origin_exact\('.*'\)) or any_origin")
    Registry().register("/x", Resource(), eval(validator[1]))
    for make in (origin_exact, origin_prefix):
        try:
            make(origin)
        except ValueError as error:
            found = re.search(r"such as ('.*'), not|origin_exact\(('.*')\) instead", str(error))
            assert found is not None
            make(ast.literal_eval(found[1] or found[2]))
    for maker in (origin_exact, origin_prefix):
        text = told(partial(register, "/x", Resource(), maker), TypeError, "write (.*)$")[1]  # of registry.py
        Registry().register("/x", Resource(), eval(text))
    told(lambda: origin_prefix(""), ValueError, "use any_origin to")  # of origins.py


@pytest.mark.parametrize("path", ["/x/{name}", "/x/*", "/{a}/{b?}", "/x{", "//{x}"])
def test_routes(path: str) -> None:
    async def page(request: Request) -> Response:
        return Response("")

    http_routes({ast.literal_eval(told(lambda: http_routes({path: page}), ValueError, ": ('.*'), not")[1]): page})


async def test_answers_of_handlers(caplog: pytest.LogCaptureFixture) -> None:
    async def page(request: Request) -> Any:
        return "text"

    request = Request("/", [])
    with pytest.raises(Reject):
        await handle(page, request, "page", sent=request, body=True)
    found = re.search("write 'return (Response.*)'", caplog.text)  # of decide.py
    assert found is not None
    assert isinstance(eval(found[1].replace("...", "'text'")), Response)


@pytest.mark.parametrize("network", ["10.0.0.1/8", "::1/64", "10.0.0.1/255.0.0.0"])
def test_networks(network: str) -> None:
    found = told(lambda: TrustedProxies([network]), ValueError, "give ('.*'), or the address ('.*') alone")
    TrustedProxies([ast.literal_eval(found[1]), ast.literal_eval(found[2])])


@pytest.mark.parametrize(
    ("url", "words", "right"),
    [
        ("ws://h/x#y", "write # as (%23)", "ws://h/x%23y"),
        ("ws://h/x y", "write it as a (percent escape)", "ws://h/x%20y"),
        ("ws://u:p\\s@h", "write / or (%5C)", "ws://u:p%5Cs@h"),
        ("ws://h\\x", "write (/) or", "ws://h/x"),
        ("ws://☃.net", "in ASCII, as (xn--)", "ws://xn--n3h.net"),
    ],
)
def test_urls(url: str, words: str, right: str) -> None:
    told(lambda: Target.parse(url), InvalidURL, words)  # of url.py
    Target.parse(right)


@pytest.mark.parametrize(("read", "scheme"), [(redis_address, "redis"), (settings_of, "postgresql")])
@pytest.mark.parametrize("sign", "/?#@%")
def test_passwords_in_urls(read: Callable[[str], object], scheme: str, sign: str) -> None:
    words = told(
        lambda: read(f"{scheme}://u:a@b@h/0"), ValueError, "write (.*) and (%) in a password as (.*) and (%25)"
    )
    escapes = dict(zip([*words[1].split(), words[2]], [*words[3].split(), words[4]], strict=True))
    read(f"{scheme}://u:a{escapes[sign]}b@h/0")


def test_tls_of_redis() -> None:
    right = told(lambda: redis_address("redis://h?ca=x"), ValueError, "write (rediss://)")[1]  # of redis/address.py
    redis_address(f"{right}h?ca=x")


@pytest.mark.parametrize("code", [1005, 1006, 2, 5000, "x"])
def test_close_codes(code: object) -> None:
    found = told(lambda: close_of(code, ""), Mistake, "use (1000), or (3000) to (4999)")  # of input_lines.py
    for number in found.groups():
        close_of(int(number), "")


class Room(Resource):
    pass


class Sized(Resource):
    def __init__(self, size: int) -> None:
        self.size = size


@pytest.mark.parametrize("cls", [Room, Sized])
def test_classes_in_the_place_of_objects(cls: Any) -> None:
    """An argument that only the program knows is shown as ``...``."""
    names = {"Room": Room, "Sized": Sized, "wsframe": wsframe}
    shown = [
        told(lambda: Registry().register_factory("/{x}", cls), TypeError, "write '(lambda.*)'")[1],  # of factories.py
        told(lambda: Registry().register("/x", cls), TypeError, "the class: (.*)$")[1],
        told(lambda: check_registry(cls), TypeError, r"(?:register_global_resource\('/', )(.*)\), and give none")[1],
    ]
    lambda_, *objects = [text.replace("(...)", "(1)") for text in shown]
    Registry().register_factory("/{x}", eval(lambda_, names))
    for text in objects:
        Registry().register("/x", eval(text, names))


def test_a_class_with_arguments_and_a_decorator() -> None:
    registry = Registry()
    decorate: Any = wsframe.resource("/x", registry=registry)
    shown = told(lambda: decorate(Sized), TypeError, "and write (.*) after the class")[1]  # of decorator.py
    eval(shown.replace("(...)", "(1)"), {"registry": registry, "Sized": Sized})
    assert len(registry) == 1
    forgotten: Any = wsframe.resource
    shown = told(lambda: forgotten(Room), TypeError, r"write @wsframe(\.resource\(.*\)) above")[1]
    assert callable(eval(f"wsframe{shown}"))


def test_decorators_of_functions() -> None:
    room, name = wsframe.define_resource("/x", registry=Registry()), "on_open"

    def function(client: Client) -> None: ...

    words = told(lambda: setattr(room, name, function), AttributeError, "write (.*), or @")[1]  # of functions.py
    assert eval(words, {"room": room, "function": function}) is function


SOURCES = [
    ("class Room(Resource):\n    def received_text(self, client, message): ...", "write 'async (def received_text)'"),
    ("class Room(Resource):\n    def disconnected(self, client): ...", "write 'async (def disconnected)'"),
    ("class Room(Resource):\n    def accept_client(self, request): ...", "write 'async (def accept_client)'"),
    ("def page(request): ...\nhttp_routes({'/': page})", "write 'async (def page)'"),
]


@pytest.mark.parametrize(("source", "words"), SOURCES)
def test_functions_that_are_to_be_async(source: str, words: str) -> None:
    names = {"Resource": Resource, "http_routes": http_routes}
    right = told(lambda: exec(source, dict(names)), TypeError, words)[1]  # of check_hooks.py
    exec(source.replace(right, f"async {right}"), dict(names))


@pytest.mark.parametrize(
    ("source", "name"),
    [
        ("async def check(request): ...\nregister('/x', Resource(), check)", "check"),
        ("class Check:\n    async def __call__(self, request): ...\nregister('/x', Resource(), Check())", "__call__"),
        ("async def make(request): ...\nfactory('/{x}', make)", "make"),
    ],
)
def test_functions_that_are_to_be_plain(source: str, name: str) -> None:
    names = {"Resource": Resource, "register": Registry().register, "factory": Registry().register_factory}
    right = told(lambda: exec(source, dict(names)), TypeError, "write '(def .*)'")[1]
    assert right == f"def {name}"
    exec(source.replace(f"async {right}", right), dict(names))


@pytest.mark.parametrize(
    "body", ["def running(self): yield", "async def running(self): yield", "async def running(self): ..."]
)
def test_running(body: str) -> None:
    names = {"Resource": Resource, "asynccontextmanager": asynccontextmanager}
    found = told(
        lambda: exec(f"class Room(Resource):\n    {body}", dict(names)),
        TypeError,
        "write '(@.*)' above '(async def .*)', and one '(yield)'",
    )
    right = dedent(f"""
        class Room(Resource):
            {found[1]}
            {found[2]}:
                {found[3]}
        """)
    exec(right, names)


@pytest.mark.parametrize("habit", sorted({*MEANT, "recieved_text", "client_conected"}))
def test_hooks_that_are_meant(habit: str) -> None:
    for base in (Resource, JSONResource):
        if hasattr(base, habit):
            continue
        with pytest.warns(UserWarning, match="did you mean") as found:
            exec(f"class Room(Base):\n    async def {habit}(self, *args): ...", {"Base": base})
        words = str(found[0].message).partition("did you mean ")[2].removesuffix("?")
        assert hasattr(base, words.partition(",")[0])


def test_attributes_that_are_meant() -> None:
    with pytest.warns(UserWarning, match="did you mean max_clients") as found:  # of check_attributes.py
        type("Room", (Resource,), {"max_client": 5})
    meant = str(found[0].message).partition("did you mean ")[2].removesuffix("?")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        type("Room", (Resource,), {meant: 5})
