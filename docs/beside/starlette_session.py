"""A resource knows the user who logged in to a Starlette or FastAPI application, by its session cookie."""

import json
from base64 import b64decode
from typing import Any

from itsdangerous import BadSignature, TimestampSigner

from wsframe import Accept, Client, Registry, Reject, Request, Resource, origin_exact

SECRET_KEY = "change me"  # that of add_middleware(SessionMiddleware, secret_key=SECRET_KEY)
MAX_AGE = 14 * 24 * 3600  # the default of SessionMiddleware

signer = TimestampSigner(SECRET_KEY)


def session_of(request: Request) -> dict[str, Any]:
    """Return the session that the application has put into the cookie; empty if it is missing, forged or too old."""
    try:
        data = signer.unsign(request.cookies.get("session", ""), max_age=MAX_AGE)
        session = json.loads(b64decode(data))
    except (BadSignature, ValueError):
        return {}
    return session if isinstance(session, dict) else {}


class Inbox(Resource[str]):
    async def accept_client(self, request: Request) -> Accept | Reject:
        user = session_of(request).get("user")
        return Accept(data=user) if user else Reject(401, body="log in first")

    async def client_connected(self, client: Client[str]) -> None:
        client.send_text(f"hello {client.data}")


registry = Registry()
# The cookie goes with requests of any page: only those of the application may use it.
registry.register("/inbox", Inbox(), origin_exact("https://app.example"))
