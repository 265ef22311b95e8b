"""Files as HTTP answers: served and refused ones, and their header fields."""

import errno
import os
import socket
import threading
from pathlib import Path

import pytest
import trio
import trio.testing
from hypothesis import given
from hypothesis import strategies as st

from wsframe import HttpHandler, Request, Response, static_file, static_folder
from wsframe.http.responses import FileResponse
from wsframe.pages.static import PART, READERS, names_of


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Give a folder to serve, with a neighbour that must not be."""
    root = tmp_path / "public"
    (root / "docs").mkdir(parents=True)
    (root / "index.html").write_text("start")
    (root / "docs/index.html").write_text("docs")
    (root / "a b.txt").write_text("blank")
    (root / "smörgås.css").write_text("umlaut")
    (root / ".secret").write_text("s3cret")
    (root / ".git").mkdir()
    (root / ".git/config").write_text("s3cret")
    (root / "back\\slash.txt").write_text("s3cret")
    (root / "c:drive.txt").write_text("s3cret")
    (tmp_path / "secret.txt").write_text("s3cret")
    (tmp_path / "public-too").mkdir()
    (tmp_path / "public-too/secret.txt").write_text("s3cret")
    return root


def fields(response: Response) -> dict[str, str]:
    assert len(dict(response.headers)) == len(response.headers)
    return dict(response.headers)


async def get(handler: HttpHandler, target: str, method: str = "GET", **headers: str) -> Response:
    sent = [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()]
    return await handler(Request(target, sent, method=method))


@pytest.mark.parametrize(
    ("target", "body"),
    [
        ("/", b"start"),
        ("/index.html", b"start"),
        ("/?v=1", b"start"),
        ("/docs/", b"docs"),
        ("/docs/index.html", b"docs"),
        ("/%64ocs/%69ndex.html", b"docs"),
        ("/a%20b.txt", b"blank"),
        ("/sm%C3%B6rg%C3%A5s.css", b"umlaut"),
    ],
)
async def test_a_file_is_found_by_its_decoded_path(folder: Path, target: str, body: bytes) -> None:
    answer = await get(static_folder(folder), target)
    assert (answer.status, answer.body) == (200, body)


HOSTILE = [
    "/../secret.txt", "/..", "/../", "/docs/../../secret.txt", "/docs/../index.html", "/./index.html", "/docs/.",
    "/%2e%2e/secret.txt", "/%2E%2E%2Fsecret.txt", "/..%2fsecret.txt", "/docs/..%2F..%2Fsecret.txt", "/%2e/index.html",
    "/%252e%252e/secret.txt", "/..%252fsecret.txt", "/..%c0%afsecret.txt", "/%ff%fe", "/%c0%ae%c0%ae/secret.txt",
    "/..\\secret.txt", "/..%5csecret.txt", "/back%5Cslash.txt", "/back\\slash.txt", "/c:drive.txt", "/c%3adrive.txt",
    "//secret.txt", "//index.html", "/docs//index.html", "//", "/%2findex.html", "/docs%2findex.html",
    "/index.html%00", "/index.html%00.png", "/%00", "/index.html%0a", "/index.html%7f", "/.secret", "/%2esecret",
    "/.git/config", "/.git/", "/.git", "/index.html/", "/index.html/x", "/nothing", "/nothing/", "/%", "/%zz",
    "*", "", "index.html", "../secret.txt", "/" + "x" * 300, "/" + "x/" * 3000,
    "/../public-too/secret.txt", "/..%2fpublic-too/secret.txt", "/\ud83d\ude00",
]  # fmt: skip


@pytest.mark.parametrize("target", HOSTILE)
async def test_what_is_not_in_the_folder_or_hidden_is_404(folder: Path, target: str) -> None:
    answer = await get(static_folder(folder), target)
    assert (answer.status, answer.body) == (404, b"not found\n")


async def test_an_absolute_path_stays_in_the_folder(folder: Path) -> None:
    for target in (str(folder.parent / "secret.txt"), f"/{folder.parent}/secret.txt", f"file://{folder}/index.html"):
        assert (await get(static_folder(folder), target)).status == 404


@given(st.text() | st.text(alphabet="./\\%250eEfFcC:\0ab"))
def test_no_path_has_a_name_that_leads_elsewhere(target: str) -> None:
    names = names_of(f"/{target}")
    for name in names or ():
        assert not name.startswith(".")
        assert not set(name) & set("/\\:\0\r\n")
    assert names is None or all(names[:-1])


async def test_links_are_followed_within_the_folder_and_not_out_of_it(folder: Path) -> None:
    (folder / "inside.html").symlink_to("docs/index.html")
    (folder / "configured.html").symlink_to(".secret")
    (folder / "outside.txt").symlink_to("../secret.txt")
    (folder / "absolute.txt").symlink_to(folder.parent / "secret.txt")
    (folder / "up").symlink_to("..")
    (folder / "neighbour").symlink_to("../public-too")
    (folder / "self").symlink_to("self")
    (folder / "dangling").symlink_to("gone")
    handler = static_folder(folder)
    assert (await get(handler, "/inside.html")).body == b"docs"
    assert (await get(handler, "/configured.html")).body == b"s3cret", "the author of the link wants it"
    for target in ("/outside.txt", "/absolute.txt", "/up/secret.txt", "/up", "/neighbour/secret.txt"):
        assert (await get(handler, target)).status == 404, target
    for target in ("/self", "/dangling", "/self/x"):
        assert (await get(handler, target)).status == 404, target


async def test_the_folder_may_be_a_link_that_changes(folder: Path) -> None:
    current = folder.parent / "current"
    current.symlink_to("public")
    handler = static_folder(current)
    assert (await get(handler, "/")).body == b"start"
    current.unlink()
    current.symlink_to("public-too")
    assert (await get(handler, "/secret.txt")).body == b"s3cret"


async def test_what_is_no_regular_file_is_404_and_waits_for_nobody(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    os.mkfifo(folder / "pipe")
    monkeypatch.chdir(folder)  # the path of a unix socket is short
    with socket.socket(socket.AF_UNIX) as sock:
        sock.bind("socket")
        with trio.fail_after(120):
            assert (await get(static_folder(folder), "/pipe")).status == 404
            assert (await get(static_folder(folder), "/socket")).status == 404


async def test_a_file_that_may_not_be_read_is_404(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*args: object) -> int:
        raise PermissionError(errno.EACCES, "no")

    handler = static_folder(folder)
    monkeypatch.setattr(os, "open", refuse)  # root may read everything
    assert (await get(handler, "/index.html")).status == 404


async def test_a_name_that_the_file_system_cannot_have_is_404(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    handler, lstat = static_folder(folder), os.lstat
    monkeypatch.setattr(os, "lstat", lambda name: lstat(name.encode("ascii")))  # the encoding of some systems
    assert (await get(handler, "/%e2%82%ac.txt")).status == 404


@pytest.mark.parametrize("function", ["open", "lstat"])
async def test_a_broken_disk_is_not_passed_off_as_404(
    folder: Path, monkeypatch: pytest.MonkeyPatch, function: str
) -> None:
    def fail(*args: object) -> int:
        raise OSError(errno.EIO, "broken")

    handler = static_folder(folder)
    monkeypatch.setattr(os, function, fail)
    with pytest.raises(OSError, match="broken"):
        await get(handler, "/index.html")


async def test_a_folder_is_sent_to_its_slash_so_that_links_in_its_index_work(folder: Path) -> None:
    (folder / "a:b").mkdir()
    (folder / "docs/deep").mkdir()
    for target, location in (("/docs", "./docs/"), ("/docs/deep?a=b", "./deep/?a=b"), ("/%64ocs?", "./%64ocs/?")):
        answer = await get(static_folder(folder), target)
        assert (answer.status, answer.headers) == (302, [("Location", location)])


async def test_index_may_be_another_or_none(folder: Path) -> None:
    (folder / "start.txt").write_text("another")
    assert (await get(static_folder(folder, index="start.txt"), "/")).body == b"another"
    assert (await get(static_folder(folder, index="start.txt"), "/docs/")).status == 404
    for target in ("/", "/docs/", "/docs"):
        assert (await get(static_folder(folder, index=None), target)).status == 404


TYPES = {
    "a.html": "text/html; charset=utf-8",
    "a.css": "text/css; charset=utf-8",
    "a.JS": "text/javascript; charset=utf-8",
    "a.mjs": "text/javascript; charset=utf-8",
    "a.txt": "text/plain; charset=utf-8",
    "a.md": "text/markdown; charset=utf-8",
    "a.json": "application/json",
    "a.svg": "image/svg+xml",
    "a.png": "image/png",
    "a.woff2": "font/woff2",
    "a.wasm": "application/wasm",
    "a.tar.gz": "application/octet-stream",
    "a.html.gz": "application/octet-stream",
    "a.nonsense": "application/octet-stream",
    "html": "application/octet-stream",
}


@pytest.mark.parametrize(("name", "content_type"), TYPES.items())
async def test_the_type_goes_by_the_name_and_is_not_to_be_guessed(tmp_path: Path, name: str, content_type: str) -> None:
    (tmp_path / name).write_text("x")
    for handler, target in ((static_folder(tmp_path), f"/{name}"), (static_file(tmp_path / name), "/")):
        answer = await get(handler, target)
        assert answer.content_type == content_type
        assert fields(answer)["X-Content-Type-Options"] == "nosniff"


async def test_a_file_that_the_peer_has_is_304_until_it_changes(folder: Path) -> None:
    handler = static_folder(folder)
    first = await get(handler, "/")
    tag = fields(first)["ETag"]
    assert tag.startswith('W/"')
    strong = tag.removeprefix("W/")
    for known in (tag, strong, f'"x", {tag}', f'W/"a,b",{strong}', "*", " * "):
        answer = await get(handler, "/", if_none_match=known)
        assert (answer.status, answer.body, answer.headers) == (304, b"", first.headers), known
        assert (await get(handler, "/", "HEAD", if_none_match=known)).status == 304
    for unknown in ('"x"', 'W/"x"', strong.strip('"'), "", strong[:-1], '"*"'):
        assert (await get(handler, "/", if_none_match=unknown)).status == 200, unknown
    assert (await get(handler, "/docs/", if_none_match=tag)).status == 200
    (folder / "index.html").write_text("start, changed")
    again = await get(handler, "/", if_none_match=tag)
    assert (again.status, again.body) == (200, b"start, changed")
    assert fields(again)["ETag"] != tag


async def test_a_file_of_the_same_size_has_another_tag_after_another_time(folder: Path) -> None:
    handler = static_folder(folder)
    tags = set()
    for time in (1, 1_000_000_000, 1_000_000_001):
        os.utime(folder / "index.html", ns=(time, time))
        tags.add(fields(await get(handler, "/"))["ETag"])
    assert len(tags) == 3


async def test_cache_control_can_be_chosen(folder: Path) -> None:
    assert fields(await get(static_folder(folder), "/"))["Cache-Control"] == "no-cache"
    chosen = static_folder(folder, cache_control="max-age=3600")
    assert fields(await get(chosen, "/"))["Cache-Control"] == "max-age=3600"
    assert "Cache-Control" not in fields(await get(static_folder(folder, cache_control=None), "/"))
    assert "Cache-Control" not in fields(await get(chosen, "/nothing"))


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS", "get"])
async def test_only_get_and_head_are_answered(folder: Path, method: str) -> None:
    for handler in (static_folder(folder), static_file(folder / "index.html")):
        answer = await get(handler, "/", method)
        assert (answer.status, answer.headers) == (405, [("Allow", "GET, HEAD")])
        head = await get(handler, "/", "HEAD")
        assert (head.status, head.length, head.body) == (200, 5, b"")


async def test_a_file_above_the_limit_is_refused_without_being_read_whole(folder: Path) -> None:
    (folder / "large").write_bytes(bytes(1001))
    (folder / "just").write_bytes(bytes(1000))
    handler = static_folder(folder, max_file=1000)
    assert len((await get(handler, "/just")).body) == 1000
    for refused in (get(handler, "/large"), get(static_file(folder / "large", max_file=1000), "/")):
        with pytest.raises(OSError, match="larger than max_file"):
            await refused
    (folder / "sparse").touch()
    os.truncate(folder / "sparse", 1 << 40)
    with pytest.raises(OSError, match="larger than max_file"):
        await get(static_folder(folder), "/sparse")


async def test_one_file_answers_at_the_root_alone(folder: Path) -> None:
    handler = static_file(folder / "index.html")
    assert (await get(handler, "/?x")).body == b"start"
    for target in ("/index.html", "//", "*", ""):
        assert (await get(handler, target)).status == 404
    (folder / "index.html").unlink()
    assert (await get(handler, "/")).status == 404


async def test_the_type_of_one_file_can_be_given(folder: Path) -> None:
    answer = await get(static_file(folder / "index.html", content_type="text/x-start"), "/")
    assert answer.content_type == "text/x-start"


async def test_a_relative_path_stays_where_it_was(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)
    handlers = [static_file("index.html"), static_folder(".")]
    monkeypatch.chdir("/")
    assert [(await get(handler, "/")).body for handler in handlers] == [b"start", b"start"]


def test_what_cannot_be_served_is_said_at_once(folder: Path) -> None:
    for missing in (folder / "nothing", folder):
        with pytest.raises(FileNotFoundError, match=str(missing)):
            static_file(missing)
    for missing in (folder / "nothing", folder / "index.html"):
        with pytest.raises(NotADirectoryError, match=str(missing)):
            static_folder(missing)
    with pytest.raises(ValueError, match="max_file must be at least 1"):
        static_folder(folder, max_file=0)
    with pytest.raises(ValueError, match="must not be sent"):
        static_folder(folder, cache_control="a\r\nb: c")
    with pytest.raises(ValueError, match="must not be sent"):
        static_file(folder / "index.html", content_type="a\nb")


@pytest.mark.parametrize("size", [0, PART, PART + 1, 3 * PART, 5 * PART + 17])
async def test_a_large_file_is_read_in_parts(folder: Path, size: int) -> None:
    content = os.urandom(size)
    (folder / "large.bin").write_bytes(content)
    answer = await get(static_folder(folder), "/large.bin")
    assert answer.length == size
    if size <= PART:
        assert answer.body == content
        return
    assert isinstance(answer, FileResponse)
    assert answer.held == PART
    got = b""
    while len(got) < size:
        part = await answer.read(len(got))
        assert 0 < len(part) <= PART
        got += part
    assert got == content


@pytest.mark.parametrize("change", ["longer", "shorter", "another", "gone"])
async def test_a_file_that_changes_while_it_is_sent_is_no_file_any_more(folder: Path, change: str) -> None:
    large = folder / "large.bin"
    large.write_bytes(bytes(3 * PART))
    answer = await get(static_folder(folder), "/large.bin")
    assert isinstance(answer, FileResponse)
    assert len(await answer.read(0)) == PART
    if change == "gone":
        large.unlink()
    else:
        large.write_bytes(bytes({"longer": 4, "shorter": 1, "another": 3}[change] * PART))
        os.utime(large, (1, 1))
    with pytest.raises(OSError, match=r"changed|No such file"):
        await answer.read(PART)


async def test_a_disk_that_hangs_is_given_up_with_its_newcomer(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    hanging, ended = threading.Event(), threading.Event()
    handler = static_file(folder / "index.html")

    def hang(*args: object) -> int:
        hanging.wait(20)
        ended.set()
        raise OSError(errno.EIO, "at last")

    monkeypatch.setattr(os, "open", hang)
    with trio.move_on_after(0.05) as scope:
        await get(handler, "/")
    assert scope.cancelled_caught
    assert not ended.is_set()
    hanging.set()
    await trio.to_thread.run_sync(ended.wait, 20)


async def test_however_many_ask_two_threads_read(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each thread reserves up to 136 MB of address space; eight of them killed a process limited to 260 MB."""
    handler, really_open = static_folder(folder), os.open
    reading, go_on = threading.Semaphore(0), threading.Event()

    def wait(*args: object) -> int:
        reading.release()
        assert go_on.wait(60)
        return really_open(*args)  # type: ignore[arg-type]

    monkeypatch.setattr(os, "open", wait)
    answers = []

    async def ask() -> None:
        answers.append(await get(handler, "/a%20b.txt"))

    async with trio.open_nursery() as nursery:
        for _ in range(20):
            nursery.start_soon(ask)
        for _ in range(READERS):
            await trio.to_thread.run_sync(reading.acquire, limiter=trio.CapacityLimiter(1))
        await trio.testing.wait_all_tasks_blocked()
        at_once = READERS + reading._value
        go_on.set()
    assert at_once == READERS == 2
    assert [answer.body for answer in answers] == [b"blank"] * 20
