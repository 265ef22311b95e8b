"""Sessions of Starlette and Django, made by them and read by a resource of wsframe."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import trio
from httpx import ASGITransport, AsyncClient
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.sessions import SessionMiddleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from tests.beside import programs
from wsframe.testing import MemoryClient, Refused, open_kit
from wsframe.testing.kit import Kit

ORIGIN = "https://app.example"


async def visit(kit: Kit, cookie: str, origin: str | None = ORIGIN) -> MemoryClient:
    return await kit.connect("/inbox", headers={"Cookie": cookie}, origin=origin)


async def status(kit: Kit, cookie: str, origin: str | None = ORIGIN) -> int:
    with pytest.raises(Refused) as refused:
        await visit(kit, cookie, origin)
    return refused.value.status


def starlette_cookie(secret: str, session: dict[str, Any]) -> str:
    """Log in to an application; return the cookie that a browser sends."""

    async def log_in(request: Request) -> Response:
        request.session.update(session)
        return Response()

    async def browse() -> str:
        middleware = [Middleware(SessionMiddleware, secret_key=secret)]
        app = Starlette(routes=[Route("/login", log_in)], middleware=middleware)
        async with AsyncClient(transport=ASGITransport(app), base_url="http://app.example") as browser:
            await browser.get("/login")
            return f"session={browser.cookies['session']}"

    return asyncio.run(browse())


@pytest.fixture
def starlette() -> ModuleType:
    return programs.load("starlette_session")


@pytest.fixture
def cookies(starlette: ModuleType) -> dict[str, str]:
    """Give cookies of a user, of a visitor without a name, and one with a signature of somebody else."""
    return {
        "user": starlette_cookie(starlette.SECRET_KEY, {"user": "ann"}),
        "visitor": starlette_cookie(starlette.SECRET_KEY, {"cart": [1]}),
        "forged": starlette_cookie("another key", {"user": "ann"}),
    }


async def test_a_resource_knows_the_user_of_a_starlette_application(
    starlette: ModuleType, cookies: dict[str, str]
) -> None:
    async with open_kit(starlette.registry) as kit:
        assert await (await visit(kit, cookies["user"])).receive_text() == "hello ann"
        for wrong in (cookies["forged"], cookies["visitor"], "session=", "other=1", f"{cookies['user']}x"):
            assert await status(kit, wrong) == 401
        assert await status(kit, cookies["user"], "https://evil.example") == 403


@pytest.fixture(params=["signed_cookies", "db"])
def django(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ModuleType]:
    """Give the program within a Django application that has one user."""
    import django
    from django.conf import settings

    if not settings.configured:
        settings.configure(
            SECRET_KEY="change me",
            INSTALLED_APPS=["django.contrib.auth", "django.contrib.contenttypes", "django.contrib.sessions"],
            DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": database(tmp_path_factory)}},
            PASSWORD_HASHERS=["django.contrib.auth.hashers.MD5PasswordHasher"],
        )
        django.setup()
        from django.core.management import call_command

        call_command("migrate", verbosity=0)
    settings.SESSION_ENGINE = f"django.contrib.sessions.backends.{request.param}"
    yield programs.load("django_session")
    from django.contrib.auth import get_user_model
    from django.db import connections

    get_user_model().objects.all().delete()
    connections.close_all()


def database(folders: pytest.TempPathFactory) -> Path:
    return folders.mktemp("django") / "database"


def log_in(name: str, password: str = "secret") -> tuple[Any, str]:
    """Make a user and log in; return both the user and the cookie that a browser sends."""
    from importlib import import_module

    from django.conf import settings
    from django.contrib.auth import get_user_model, login
    from django.http import HttpRequest

    user = get_user_model().objects.create_user(name, password=password)
    request = HttpRequest()
    request.session = import_module(settings.SESSION_ENGINE).SessionStore()
    login(request, user)
    request.session.save()
    return user, f"sessionid={request.session.session_key}"


def change_password(user: Any) -> None:
    user.set_password("another")
    user.save()


async def test_a_resource_knows_the_user_of_a_django_application(django: ModuleType) -> None:
    from django.db import connections

    def in_thread(function: Any, *args: Any) -> Any:
        try:
            return function(*args)
        finally:
            connections.close_all()

    user, cookie = await trio.to_thread.run_sync(in_thread, log_in, "ann")
    async with open_kit(django.registry) as kit:
        assert await (await visit(kit, cookie)).receive_text() == "hello ann"
        for wrong in ("sessionid=", "sessionid=abc", "other=1", f"{cookie}x"):
            assert await status(kit, wrong) == 401
        assert await status(kit, cookie, "https://evil.example") == 403
        await trio.to_thread.run_sync(in_thread, change_password, user)
        assert await status(kit, cookie) == 401
