"""One way to write a path that has one meaning, and words for one that no client can ask for."""

from __future__ import annotations

import ast
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wsframe.http.paths import check_path, folded, normalized_program_path, normalized_request_path


@pytest.mark.parametrize(
    ("path", "compared"),
    [
        ("/chat", "/chat"),
        ("/", "/"),
        ("*", "*"),
        ("/café", "/caf%C3%A9"),
        ("/caf%c3%a9", "/caf%C3%A9"),
        ("/caf%C3%A9", "/caf%C3%A9"),
        ("/my room", "/my%20room"),
        ("/日本/ü", "/%E6%97%A5%E6%9C%AC/%C3%BC"),
        ("/😀", "/%F0%9F%98%80"),
        ('/q"x', "/q%22x"),
        ("/a|b^c`d", "/a%7Cb%5Ec%60d"),
        ("/a[b]", "/a%5Bb%5D"),
        ("/a<b>c", "/a%3Cb%3Ec"),
        ("/100%", "/100%25"),
        ("/100%25", "/100%25"),
        ("/%zz", "/%25zz"),
        ("/a//b", "/a//b"),
        ("//chat", "//chat"),
        ("/chat/", "/chat/"),
        ("/a%2fb", "/a%2Fb"),
        ("/%41", "/%41"),
        ("/a.b/...", "/a.b/..."),
        ("/a:b@c;d=e,f'g(h)!$&+*", "/a:b@c;d=e,f'g(h)!$&+*"),
        ("/$metadata", "/$metadata"),
        ("/ü/{id}", "/%C3%BC/{id}"),
        ("/{größe}/x y", "/{größe}/x%20y"),
    ],
)
def test_a_path_is_compared_as_a_browser_sends_it(path: str, compared: str) -> None:
    assert check_path(path) == compared
    assert check_path(compared) == compared


@pytest.mark.parametrize(
    ("path", "right"),
    [
        ("/x/<room>", "/x/{room}"),
        ("/x/<int:room>/y", "/x/{room}/y"),
        ("/x/:room", "/x/{room}"),
        ("/:room/y", "/{room}/y"),
        ("/x/{room:path}", "/x/{room}"),
        ("/x/{room:int}", "/x/{room}"),
        ("/x/[room]", "/x/{room}"),
        ("/x/*", "/x/{name}"),
        ("/x/**", "/x/{name}"),
        ("chat", "/chat"),
        ("", "/"),
        ("ws://h/chat", "/chat"),
        ("wss://h:8000/chat?x#y", "/chat"),
        ("ws://h", "/"),
        ("/chat?x=1", "/chat"),
        ("/chat#x", "/chat"),
        ("/chat ", "/chat"),
        (" /chat", "/chat"),
        ("/chat\n", "/chat"),
        ("/a\tb", "/ab"),
        ("/a\x7fb", "/ab"),
        ("/a\\b", "/a/b"),
        ("/./chat", "/chat"),
        ("/a/../chat", "/chat"),
        ("/a/%2e%2E/chat", "/chat"),
        ("/a/.%2e/b/", "/b/"),
        ("/a/b/..", "/a/"),
        ("/a/.", "/a/"),
        ("/..", "/"),
        ("/../{room}", "/{room}"),
        ("/x/{room?}", "/x/{room}"),
        ("/x/{room:int?}", "/x/{room}"),
        ("/x/{room}?", "/x/{room}"),
        ("/x/:room?", "/x/{room}"),
        ("ws://h/{room?}?x#y", "/{room}"),
        ("/x/{*rest}", "/x/{rest}"),
        ("/x/{rest...}", "/x/{rest}"),
        ("/x/[...rest]", "/x/{rest}"),
        ("/x/[[...rest]]", "/x/{rest}"),
        ("/x/${room}", "/x/{room}"),
        ("/x/{room", "/x/{room}"),
        ("/x/room}", "/x/{room}"),
        ("/a{room}c", "/{room}"),
        ("/x/{a}{b}", "/x/{a}"),
        ("/x/{}", "/x/{name}"),
        ("/x/{1}", "/x/{name_1}"),
        ("/x/{a-b}", "/x/{a_b}"),
        ("/{a}/x/{a}", "/{a}/x/{a_3}"),
        ("/{a\\b}", "/{a}/{b}"),
        ("<room>/../{a}/{a}?b", "/{a}/{a_2}"),
    ],
)
def test_a_path_that_no_client_asks_for_is_a_value_error_with_the_right_form(path: str, right: str) -> None:
    with pytest.raises(ValueError, match=r"path|parameter|stands alone") as caught:
        check_path(path)
    assert f"{right!r} instead of {path!r}" in str(caught.value)
    check_path(right)


PIECES = [
    "{", "}", "/", "?", "#", "..", ".", "*", ":", "<", ">", "[", "]", "a", "b", "1", "-", " ", "\\", "$", "^", "é",
    "\t", "{a}", "://", "{a?}", "(?", r"\d",
]  # fmt: skip


@given(st.lists(st.sampled_from(PIECES), max_size=9).map("".join))
def test_a_form_that_an_error_shows_is_accepted(path: str) -> None:
    try:
        check_path(path)
    except ValueError as error:
        told = str(error).partition(": ")[2]
        if " instead of " in told:
            right, _, given = told.partition(f" instead of {path!r}")
            assert not given
            check_path(ast.literal_eval(right))


@pytest.mark.parametrize(
    "path", [r"/rooms/(?P<room>\w+)$", r"^/chat$", r"/rooms/.*", r"/rooms/\d+", "/[0-9]", "/[^/]+"]
)
def test_a_regular_expression_is_a_value_error(path: str) -> None:
    with pytest.raises(ValueError, match=r"is not a regular expression; use \{name\} for a segment"):
        check_path(path)


def test_a_lone_surrogate_is_a_value_error() -> None:
    with pytest.raises(ValueError, match="surrogates"):
        check_path("/\ud800")


@given(st.text(st.characters(exclude_categories=("Cs", "Cc")), max_size=20))
def test_what_is_registered_is_what_clients_ask_for(text: str) -> None:
    """Those that send UTF-8 as it is, those that quote it, and those that quote it in lower case."""
    path = f"/x{text}x".replace("?", "").replace("#", "").replace("\\", "").replace("%", "")
    try:
        registered = check_path(path)
    except ValueError:
        return
    if "{" not in path:
        assert registered == normalized_request_path(path.encode().decode("latin-1"))
        quoted = quote(path, safe="/!$&'()*+,;=:@")
        assert registered == normalized_request_path(quoted)
        assert registered == normalized_program_path(quoted.replace("%E", "%e"))
    assert registered.isascii() or "{" in path


@pytest.mark.parametrize(
    ("path", "other", "same"),
    [
        ("/Chat", "/cHAT", True),
        ("/CAF%C3%89", "/caf%C3%A9", True),
        ("/%E6%97%A5", "/%E6%97%A5", True),
        ("/%FF", "/%FE", False),
        ("/a%2F", "/A%2F", True),
        ("/a%2Fb", "/a/b", False),
        ("/chat", "/chat/", False),
    ],
)
def test_case_is_that_of_letters(path: str, other: str, same: bool) -> None:
    assert (folded(path) == folded(other)) is same
