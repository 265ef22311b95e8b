"""``wsframe routes``: the paths that a target registers."""

import json
from pathlib import Path

import pytest

from wsframe import (
    Deflate,
    Limits,
    Registry,
    Resource,
    Response,
    Timeouts,
    cli,
    http_routes,
    readyz,
    static_file,
    static_folder,
)
from wsframe.cli.routes import options_of, routes_of
from wsframe.http.origins import any_origin, origin_exact, origin_prefix, same_origin
from wsframe.http.request import Request
from wsframe.resources.routing.factories import written_name
from wsframe.workers.partitions import partition_of, slot_of


def test_paths_classes_origins_and_options_are_listed(in_folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["routes", "hello_target:registry"]) == 0
    assert capsys.readouterr().out.splitlines() == [
        "PATH       RESOURCE            ORIGINS      OPTIONS",
        "/own       hello_target.Hello  same_origin",
        "/hello     hello_target.Hello  same_origin",
        "/clinging  hello_target.Hello  same_origin",
    ]


def test_json_is_one_object_a_line(in_folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["routes", "hello_target", "--json"]) == 0
    first, second = map(json.loads, capsys.readouterr().out.splitlines())
    assert first == {"path": "/hello", "resource": "hello_target.Hello", "origins": "same_origin", "options": {}}
    assert second["path"] == "/clinging"


def test_a_target_that_cannot_be_loaded_is_a_mistake(in_folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["routes", "syntax_target.py"]) == 2
    assert capsys.readouterr().err.startswith("wsframe: cannot import syntax_target.py: SyntaxError")


class Special(Resource):
    limits = Limits(max_message=100, max_frame=None)
    timeouts = Timeouts(ping_interval=5)
    subprotocols = ("a", "b")
    max_clients = 3
    overflow = "drop_oldest"
    ordering = "client"
    error_close_code = 4000
    deflate = Deflate.dedicated()


class Uncompressed(Resource):
    deflate = None


def test_options_are_those_that_differ() -> None:
    assert options_of(Special()) == {
        "max_message": "100", "max_frame": "None", "ping_interval": "5", "max_clients": "3",
        "overflow": "drop_oldest", "ordering": "client", "error_close_code": "4000", "subprotocols": "a,b",
        "deflate": "dedicated",
    }  # fmt: skip
    assert options_of(Uncompressed()) == {"deflate": "none"}
    assert options_of(Resource()) == {}


def test_a_validator_is_named_as_it_was_made() -> None:
    def own(request: Request) -> bool:
        return True

    class Checker:
        def __call__(self, request: Request) -> bool:
            return True

    assert written_name(any_origin) == "any_origin"
    assert written_name(same_origin) == "same_origin"
    assert written_name(origin_exact("https://a.example", missing=True)) == (
        "origin_exact('https://a.example', missing=True)"
    )
    assert written_name(origin_prefix("http://a", "http://b")) == "origin_prefix('http://a', 'http://b')"
    assert written_name(own).endswith("named_as_it_was_made.own")
    assert written_name(Checker()).endswith("Checker")


async def version(request: Request) -> Response:
    return Response("1.0")


def test_http_routes_are_listed_by_their_handlers() -> None:
    registry = Registry()
    registry.route("/version", version, any_origin)
    registry.route("/", static_file(__file__))
    registry.route("/static/*", static_folder(Path(__file__).parent))
    registry.route("/readyz", readyz)
    registry.route("/app/*", http_routes({"/a": version}))
    assert [(one["path"], one["resource"], one["origins"]) for one in routes_of(registry)] == [
        ("/version", f"HTTP {__name__}.version", "any_origin"),
        ("/", "HTTP static_file('test_routes.py')", "same_origin"),
        ("/readyz", "HTTP readyz", "same_origin"),
        ("/static/*", "HTTP static_folder('cli')", "same_origin"),
        ("/app/*", "HTTP http_routes('/a')", "same_origin"),
    ]


def make_room(request: Request) -> Resource:
    return Resource()


def test_factories_and_dispatchers_are_listed_by_their_functions() -> None:
    registry = Registry()
    registry.register_factory("/rooms/{room}", make_room, any_origin, max_resources=5, linger=1.5)
    registry.register_dispatcher(make_room)
    assert list(routes_of(registry)) == [
        {
            "path": "/rooms/{room}",
            "resource": "make_room()",
            "origins": "any_origin",
            "options": {"max_resources": "5", "linger": "1.5"},
        },
        {"path": "(dispatcher)", "resource": "make_room()", "origins": "same_origin", "options": {}},
    ]


def test_the_worker_of_each_path_is_told(in_folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (in_folder / "placed_target.py").write_text(
        "import wsframe\n"
        "class Shared(wsframe.Resource):\n    scope = 'shared'\n"
        "class Spread(wsframe.Resource):\n    scope = 'path'\n"
        "wsframe.register_global_resource('/one', wsframe.Resource())\n"
        "wsframe.register_global_resource('/shared', Shared())\n"
        "wsframe.register_global_resource('/spread', Spread())\n"
        "wsframe.register_global_factory('/rooms/{room}', lambda request: Spread(), scope='path')\n"
        "async def own(request):\n    return wsframe.Response('x')\n"
        "wsframe.register_global_route('/own', own)\n"
        "wsframe.register_global_route('/file', wsframe.static_file(__file__))\n"
        "wsframe.register_global_route('/both/*', wsframe.http_routes({'/own': own, '/healthz': wsframe.healthz}))\n"
    )
    assert cli.main(["routes", "placed_target", "--workers", "4", "--json"]) == 0
    routes = {route["path"]: route for route in map(json.loads, capsys.readouterr().out.splitlines())}
    slot = str(slot_of(partition_of("/spread", "path"), 4))
    assert {path: route["worker"] for path, route in routes.items()} == {
        "/one": "0", "/shared": "all", "/spread": slot, "/rooms/{room}": "one for each path",
        "/own": "0", "/file": "any", "/both/*": "0 or any",
    }  # fmt: skip
    assert [routes[path]["options"].get("scope") for path in ("/one", "/shared", "/rooms/{room}")] == [
        None, "shared", "path",
    ]  # fmt: skip
