"""Which handler answers which path."""

from pathlib import Path

import pytest

from wsframe import HttpHandler, Reject, Request, Response, http_routes, static_file, static_folder


def naming(name: str) -> HttpHandler:
    async def handler(request: Request) -> Response:
        return Response(f"{name} {request.path}")

    return handler


async def ask(handler: HttpHandler, target: str) -> str:
    answer = await handler(Request(target, []))
    return answer.body.decode() if answer.status == 200 else str(answer.status)


@pytest.mark.parametrize(
    ("target", "answer"),
    [
        ("/", "root /"),
        ("/?a=/static/", "root /"),
        ("/else/where", "root /else/where"),
        ("/healthz", "health /"),
        ("/healthz/", "root /healthz/"),
        ("/healthzz", "root /healthzz"),
        ("/static", "root /static"),
        ("/static/", "static /"),
        ("/static/a/b.js", "static /a/b.js"),
        ("/static/app/", "app /"),
        ("/static/app/x", "app /x"),
        ("/static/app", "static /app"),
        ("/STATIC/x", "root /STATIC/x"),
        ("/%73tatic/x", "root /%73tatic/x"),
        ("/static//x", "static //x"),
        ("/static/../healthz", "static /../healthz"),
    ],
)
async def test_the_longest_path_wins_and_its_handler_sees_the_rest(target: str, answer: str) -> None:
    routes = http_routes(
        {
            "/": naming("root"),
            "/static/": naming("static"),
            "/healthz": naming("health"),
            "/static/app/": naming("app"),
        }
    )
    assert await ask(routes, target) == answer


async def test_what_no_handler_answers_is_404() -> None:
    routes = http_routes({"/a": naming("a"), "/b/": naming("b")})
    for target in ("/", "/c", "/ab", "/a/", "/b", "*", ""):
        assert await ask(routes, target) == "404"
    assert await ask(http_routes({}), "/") == "404"


async def test_the_request_itself_is_left_as_it_was() -> None:
    seen: list[Request] = []

    async def handler(request: Request) -> Response:
        seen.append(request)
        return Response()

    request = Request("/a/b?c=d", [(b"X-Y", b"z")], method="HEAD", host="::1", port=7, secure=True)
    await http_routes({"/a/": handler})(request)
    (copy,) = seen
    assert (request.path, copy.path) == ("/a/b", "/b")
    assert (copy.query, copy.method, copy.host, copy.port, copy.secure) == ({"c": ["d"]}, "HEAD", "::1", 7, True)
    assert copy.headers == request.headers == {"x-y": "z"}


async def test_routes_can_stand_in_routes_and_files_anywhere(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("file")
    inner = http_routes({"/files/": static_folder(tmp_path), "/one": static_file(tmp_path / "a.txt")})
    routes = http_routes({"/": static_file(tmp_path / "a.txt"), "/inner/": inner})
    for target in ("/", "/inner/one", "/inner/files/a.txt"):
        assert await ask(routes, target) == "file", target
    for target in ("/a.txt", "/inner/", "/inner/one/", "/inner/files/", "/inner/files/../a.txt"):
        assert await ask(routes, target) == "404", target


async def test_what_a_handler_raises_comes_out() -> None:
    async def refuse(request: Request) -> Response:
        raise Reject(418)

    with pytest.raises(Reject):
        await ask(http_routes({"/": refuse}), "/")


def test_wrong_routes_are_said_at_once() -> None:
    for path in ("", "a", "*", "/a?b", "/a#b"):
        with pytest.raises(ValueError, match="a path begins with"):
            http_routes({path: naming("a")})
    with pytest.raises(TypeError, match="a handler is an async function, not Response"):
        http_routes({"/": Response()})  # type: ignore[dict-item]
    with pytest.raises(TypeError, match=r"http_routes takes handlers by path, such as \{'/': handler\}, not function"):
        http_routes(naming("a"))  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="a path is a str, not int"):
        http_routes({1: naming("a")})  # type: ignore[dict-item]


@pytest.mark.parametrize(
    ("path", "sent", "seen"),
    [
        ("/café", "/caf%C3%A9", "/"),
        ("/café", "/caf%c3%a9", "/"),
        ("/my page", "/my%20page", "/"),
        ("/bücher/", "/b%c3%bccher/a%20b", "/a%20b"),
    ],
)
async def test_a_path_is_answered_in_each_spelling_it_has(path: str, sent: str, seen: str) -> None:
    async def page(request: Request) -> Response:
        return Response(request.path)

    assert (await http_routes({path: page})(Request(sent, []))).body == seen.encode()


@pytest.mark.parametrize("path", ["/a/../b", "/./x", "x", "/x?y", "/x ", "/a\\b"])
def test_a_path_that_no_client_asks_for_is_said_with_the_right_form(path: str) -> None:
    async def page(request: Request) -> Response:
        return Response("x")

    with pytest.raises(ValueError, match="instead of"):
        http_routes({path: page})


def test_a_path_with_parameters_or_in_two_spellings_is_a_value_error() -> None:
    async def page(request: Request) -> Response:
        return Response("x")

    for path in ("/x/{name}", "/x/*", "/x/{name}/y"):
        with pytest.raises(ValueError, match=r"one that ends in '/' has all below it: '/x/', not "):
            http_routes({path: page})
    with pytest.raises(ValueError, match="a path is there twice, in two spellings: '/café', '/caf%c3%a9'"):
        http_routes({"/café": page, "/caf%c3%a9": page})
