"""Handlers that answer alike in every worker."""

from __future__ import annotations

from functools import wraps

from wsframe import Request, Response, browser_client, healthz, http_routes, readyz, static_file, static_folder
from wsframe.http.any_worker import answers_in_any_worker


async def own(request: Request) -> Response:
    return Response()


ROOT = Request("/", [])


def test_files_and_health_are_alike_in_every_worker() -> None:
    for handler in (healthz, readyz, browser_client, static_file(__file__), static_folder(".")):
        assert answers_in_any_worker(handler, ROOT)
    assert not answers_in_any_worker(own, ROOT)


def test_routes_answer_as_the_handler_that_they_lead_to() -> None:
    routes = http_routes({"/own": own, "/healthz": healthz, "/files/": static_folder(".")})
    answers = {
        path: answers_in_any_worker(routes, Request(path, [])) for path in ("/own", "/healthz", "/files/a", "/x")
    }
    assert answers == {"/own": False, "/healthz": True, "/files/a": True, "/x": True}


def test_a_decorator_that_wraps_a_handler_leaves_the_mark() -> None:
    @wraps(healthz)
    async def wrapped(request: Request) -> Response:
        return await healthz(request)

    assert answers_in_any_worker(wrapped, ROOT)
