"""Which handlers answer whatever the Host is: those that are marked, wherever a route or a decorator has put them."""

from __future__ import annotations

from functools import wraps

from wsframe import Request, Response, healthz, http_routes, readyz
from wsframe.http.any_host import answers_any_host, at_any_host


async def page(request: Request) -> Response:
    return Response("page")


@at_any_host
async def probe(request: Request) -> Response:
    return Response("fine")


def at(path: str) -> Request:
    return Request(path, [])


def test_health_checks_are_marked_and_pages_are_not() -> None:
    assert answers_any_host(probe, at("/"))
    assert answers_any_host(healthz, at("/"))
    assert answers_any_host(readyz, at("/"))
    assert not answers_any_host(page, at("/"))


def test_a_decorated_one_is_marked_too() -> None:
    @wraps(healthz)
    async def logged(request: Request) -> Response:
        return await healthz(request)

    assert answers_any_host(logged, at("/"))


def test_routes_are_marked_for_the_paths_of_marked_ones() -> None:
    inner = http_routes({"/live": probe, "/": page})
    outer = http_routes({"/": page, "/healthz": healthz, "/status/": inner})
    for path, marked in {
        "/healthz": True, "/status/live": True, "/status/": False, "/status/live/": False, "/": False, "/live": False,
    }.items():  # fmt: skip
        assert answers_any_host(outer, at(path)) is marked, path
    assert not answers_any_host(http_routes({"/healthz": healthz}), at("/else"))
