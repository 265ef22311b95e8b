"""HTTP routes of a registry: which one is asked, and the request as its handler sees it."""

import logging

import pytest

from wsframe import (
    Registry,
    Request,
    Response,
    any_origin,
    http_routes,
    register_global_route,
    same_origin,
    static_folder,
    unregister_global_route,
)
from wsframe.resources.routing.http_routes import HttpRoute, HttpRoutes
from wsframe.resources.routing.registry import global_registry


async def answer(request: Request) -> Response:
    return Response()


def named(name: str) -> HttpRoute:
    async def handler(request: Request) -> Response:
        return Response(name)

    handler.__qualname__ = name
    return HttpRoute(handler, same_origin)


def asked(routes: HttpRoutes, path: str) -> tuple[str, str, dict[str, str]] | None:
    found = routes.answer(Request(path, []))
    return None if found is None else (found[0].handler.__qualname__, found[1].path, dict(found[1].path_params))


def table(*paths: str) -> HttpRoutes:
    routes = HttpRoutes()
    for path in paths:
        assert routes.put(path, named(path)) is None
    return routes


def test_exact_paths_come_before_patterns_and_these_before_all_below_and_the_rest_comes_last() -> None:
    routes = table("*", "/a/*", "/a/{x}", "/a/b", "/a/b/*")
    assert asked(routes, "/a/b") == ("/a/b", "/", {})
    assert asked(routes, "/a/c") == ("/a/{x}", "/", {"x": "c"})
    assert asked(routes, "/a/b/c/d") == ("/a/b/*", "/c/d", {})
    assert asked(routes, "/a/c/d") == ("/a/*", "/c/d", {})
    assert asked(routes, "/a/") == ("/a/*", "/", {})
    assert asked(routes, "/a") == ("*", "/a", {})
    assert asked(routes, "*") == ("*", "*", {})
    assert [path for path, _ in routes.entries()] == ["/a/b", "/a/{x}", "/a/b/*", "/a/*", "*"]


def test_the_root_stands_for_itself_and_its_star_for_all() -> None:
    assert asked(table("/"), "/x") is None
    routes = table("/", "/*")
    assert asked(routes, "/") == ("/", "/", {})
    assert asked(routes, "/x/y") == ("/*", "/x/y", {})
    assert asked(routes, "//x") == ("/*", "//x", {})


def test_parameters_can_stand_before_a_star() -> None:
    routes = table("/users/{user}/files/*")
    assert asked(routes, "/users/a%20b/files/c%2Fd") == ("/users/{user}/files/*", "/c%2Fd", {"user": "a%20b"})
    assert asked(routes, "/users//files/x") is None


def test_an_encoded_slash_divides_no_path_and_escapes_may_be_written_either_way() -> None:
    routes = table("/café", "/a/*")
    assert asked(routes, "/caf%c3%a9") == ("/café", "/", {})
    assert asked(routes, "/a%2Fb") is None


def test_a_long_path_is_matched_once_for_each_length_of_route() -> None:
    routes = table("/a/*", "/b/*", "/a/b/c/*")
    assert asked(routes, "/a" + "/" * 16000) == ("/a/*", "/" * 16000, {})


def test_a_route_is_taken_as_it_was_put() -> None:
    routes = table("/a/*", "/a", "*")
    copy = routes.copy()
    assert [routes.take(path) is not None for path in ("/a/*", "/a", "*", "/a/*", "/b/c/*")] == [True] * 3 + [False] * 2
    assert (len(routes), len(copy)) == (0, 3)


def test_two_patterns_for_the_same_paths_are_refused_with_a_star_too() -> None:
    routes = table("/{a}/*")
    with pytest.raises(ValueError, match="registered already"):
        routes.put("/{b}/*", named("b"))


def test_a_registry_has_routes_beside_resources(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "wsframe")
    registry = Registry()
    assert registry.route("/", answer) is answer

    @registry.route("/hooks/{room}", origins=any_origin)
    async def hook(request: Request) -> Response:
        return Response()

    assert [(path, route.origins) for path, route in registry.http_routes.entries()] == [
        ("/", same_origin), ("/hooks/{room}", any_origin),
    ]  # fmt: skip
    assert (len(registry), registry.paths()) == (2, [])
    assert repr(registry) == "<Registry HTTP /, HTTP /hooks/{room}>"
    registry.route("/", hook)
    assert [record.getMessage() for record in caplog.records] == [
        "the route / is registered again: requests get test_a_registry_has_routes_beside_resources.hook"
    ]
    before = registry.snapshot()
    assert (registry.unregister_route("/"), registry.unregister_route("/")) == (True, False)
    registry.restore(before)
    assert len(registry) == 2


def test_the_global_registry_has_routes() -> None:
    try:
        assert register_global_route("/one", answer) is answer
        assert register_global_route("/two")(answer) is answer
        assert [path for path, _ in global_registry.http_routes.entries()] == ["/one", "/two"]
    finally:
        assert [unregister_global_route(path) for path in ("/one", "/two")] == [True, True]


@pytest.mark.parametrize(
    ("path", "error"),
    [
        (answer, "the path comes first"),
        ("no-slash", "begins with '/'"),
        ("/a/*/b", "stands alone"),
        ("/a?b", "has no '\\?'"),
        ("/:id/*", "a parameter is written {id}"),
    ],
)
def test_a_path_that_no_client_asks_for_is_refused(path: str, error: str) -> None:
    registry = Registry()
    with pytest.raises((TypeError, ValueError), match=error):
        registry.route(path, answer)
    assert len(registry) == 0


@pytest.mark.parametrize("handler", [Response(), lambda: Response(), 3, Registry])
def test_a_handler_that_cannot_be_asked_is_refused(handler: object) -> None:
    with pytest.raises(TypeError):
        Registry().route("/", handler)  # type: ignore[call-overload]


def test_a_folder_needs_a_star() -> None:
    registry = Registry()
    for folder in (static_folder("."), http_routes({"/": answer})):
        with pytest.raises(ValueError, match="'/static/\\*', not '/static/'"):
            registry.route("/static/", folder)
        registry.route("/static/*", folder)
        registry.route("*", folder)
