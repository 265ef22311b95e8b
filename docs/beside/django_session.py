"""A resource knows the user who logged in to a Django application, whatever backend its sessions have.

``DJANGO_SETTINGS_MODULE`` names the settings of the application, and ``django.setup()`` comes first.
"""

from importlib import import_module

import trio
from django.conf import settings
from django.contrib.auth import get_user
from django.db import close_old_connections
from django.http import HttpRequest

from wsframe import Accept, Client, Registry, Reject, Request, Resource, origin_exact


def name_of_user(session_key: str) -> str | None:
    """Return the name of the user who is logged in; None for a session that is unknown, forged or too old."""
    request = HttpRequest()
    request.session = import_module(settings.SESSION_ENGINE).SessionStore(session_key)
    try:
        user = get_user(request)  # which checks that the password has not changed since
        return str(user.get_username()) if user.is_authenticated else None
    finally:
        close_old_connections()  # as Django does after each request


class Inbox(Resource[str]):
    async def accept_client(self, request: Request) -> Accept | Reject:
        key = request.cookies.get(settings.SESSION_COOKIE_NAME)
        # In a thread, because a database can take its time.
        user = None if key is None else await trio.to_thread.run_sync(name_of_user, key)
        return Reject(401, body="log in first") if user is None else Accept(data=user)

    async def client_connected(self, client: Client[str]) -> None:
        client.send_text(f"hello {client.data}")


registry = Registry()
# The cookie goes with requests of any page: only those of the application may use it.
registry.register("/inbox", Inbox(), origin_exact("https://app.example"))
