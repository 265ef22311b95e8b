"""Marks of handlers, wherever a route or a decorator has put them."""

from __future__ import annotations

from functools import wraps

from wsframe import Request, Response, browser_client, healthz, http_routes, readyz, static_file, static_folder
from wsframe.http.handler_marks import answers_any_host, answers_in_any_worker, at_any_host


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


def test_files_and_health_are_alike_in_every_worker() -> None:
    for handler in (healthz, readyz, browser_client, static_file(__file__), static_folder(".")):
        assert answers_in_any_worker(handler, at("/"))
    assert not answers_in_any_worker(page, at("/"))


def test_routes_answer_as_the_handler_that_they_lead_to() -> None:
    routes = http_routes({"/own": page, "/healthz": healthz, "/files/": static_folder(".")})
    answers = {path: answers_in_any_worker(routes, at(path)) for path in ("/own", "/healthz", "/files/a", "/x")}
    assert answers == {"/own": False, "/healthz": True, "/files/a": True, "/x": True}


def test_a_decorator_that_wraps_a_handler_leaves_the_mark() -> None:
    @wraps(healthz)
    async def wrapped(request: Request) -> Response:
        return await healthz(request)

    assert answers_in_any_worker(wrapped, at("/"))
