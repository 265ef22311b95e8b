"""A verifier of JSON Web Tokens, with the claims that Centrifugo gives them."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from time import time
from typing import TYPE_CHECKING, Any

from wsframe.centrifuge.answers import Connected, Subscribed
from wsframe.centrifuge.errors import CentrifugeDisconnect, CentrifugeError
from wsframe.log import Log, log_for

if TYPE_CHECKING:
    import jwt
else:
    try:
        import jwt
    except ModuleNotFoundError:
        jwt = None

__all__ = ["JWTTokens"]

logger: Log = log_for(__name__)


class NotValid(Exception):
    """A token whose signature or claims are wrong."""


class Expired(Exception):
    """A token whose time is over."""


class JWTTokens:
    """Verifies connection and subscription tokens with PyJWT; needs ``wsframe[jwt]``.

    A token for a connection has the claims ``sub`` (the user's id), ``exp`` (seconds since 1970), ``info``, and
    ``channels`` (a list of channels that the server subscribes the client to); one for a subscription has ``sub``,
    ``channel``, ``exp`` and ``info``. ``expire_at`` in the place of ``exp`` is the end of the connection or
    subscription, 0 for none; ``exp`` is then the end of the token alone. Other claims of Centrifugo (``subs``,
    ``b64info``, ``meta``, ``override``) are not read.

    Args:
        key: The secret (for HS256 and the like), or the public key as PEM or a ``jwt.PyJWK``.
        algorithms: The accepted algorithms, such as ``["HS256"]``. Danger: a list with HMAC and others.
        audience: The claim ``aud`` that a token must have; None: it must have none.
        issuer: The claim ``iss`` that a token must have; None: any.
        anonymous: Whether a client can connect without a token. Default False: error 101.
        free: Whether a client can subscribe without a token, so that ``subscribing`` decides. Default False: error 103.

    Raises:
        ImportError: If PyJWT is not installed.
        ValueError: Without an algorithm, with ``none``, and with HMAC beside others.
    """

    def __init__(
        self,
        key: Any,
        algorithms: Collection[str],
        *,
        audience: str | None = None,
        issuer: str | None = None,
        anonymous: bool = False,
        free: bool = False,
    ) -> None:
        if jwt is None:
            raise ImportError("JWTTokens needs PyJWT: pip install 'wsframe[jwt]'", name="jwt")
        check_algorithms(algorithms)
        self._key = key
        self._algorithms = list(algorithms)
        self._audience = audience
        self._issuer = issuer
        self._anonymous = anonymous
        self._free = free

    async def connection(self, token: str) -> Connected:
        """Return the answer that a connection token stands for.

        Raises:
            CentrifugeError: 101 without a token, where anonymous clients are refused; 109 for one that has expired.
            CentrifugeDisconnect: 3500 for a token that is not valid.
        """
        if not token:
            if self._anonymous:
                return Connected()
            raise CentrifugeError(101)
        try:
            claims = self._claims(token)
            if claims.get("channel"):
                raise NotValid("it is of a subscription")
            return Connected(
                user=user_of(claims),
                expires=expires_in(claims),
                info=claims.get("info"),
                subscriptions=channels_of(claims),
            )
        except Expired:
            raise CentrifugeError(109) from None
        except NotValid as error:
            logger.info("a connection token is not valid: %s", error, kind=str(error))
            raise CentrifugeDisconnect(3500) from None

    async def subscription(self, token: str, user: str, channel: str) -> Subscribed:
        """Return the answer that a subscription token of this user and channel stands for.

        Raises:
            CentrifugeError: 103 without a token, where those are refused, and for an invalid token or one of another
                user or channel; 109 for an expired one.
        """
        if not token:
            if self._free:
                return Subscribed()
            raise CentrifugeError(103)
        try:
            claims = self._claims(token)
            if claims.get("channel") != channel or user_of(claims) != user:
                raise NotValid("it is of another channel or user")
            return Subscribed(expires=expires_in(claims), info=claims.get("info"))
        except Expired:
            raise CentrifugeError(109) from None
        except NotValid as error:
            logger.info("a subscription token is not valid: %s", error, kind=str(error))
            raise CentrifugeError(103) from None

    def _claims(self, token: str) -> Mapping[str, Any]:
        """Verify a token and return its claims."""
        try:
            claims: dict[str, Any] = jwt.decode(
                token, self._key, algorithms=self._algorithms, audience=self._audience, issuer=self._issuer
            )
        except jwt.ExpiredSignatureError:
            raise Expired from None
        except Exception as error:  # PyJWT's own, and those of the decoders below it
            raise NotValid(type(error).__name__) from None
        return claims


def check_algorithms(algorithms: Collection[str]) -> None:
    """Raise for a list of algorithms with which a stranger could make a token."""
    if isinstance(algorithms, str) or not algorithms:
        raise ValueError(f"algorithms is a list such as ['HS256'], not {algorithms!r}")
    if any(one.lower() == "none" for one in algorithms):
        raise ValueError("the algorithm 'none' accepts every token: leave it out, and name one such as 'HS256'")
    if len({one.startswith("HS") for one in algorithms}) > 1:
        given = ", ".join(algorithms)
        raise ValueError(f"{given}: beside others a public key could be taken for HMAC's secret; name only one kind")


def is_utf8(text: str) -> bool:
    """Return whether a string has no lone surrogates, which JSON can have and UTF-8 cannot."""
    return text.encode("utf-8", "replace").decode() == text


def user_of(claims: Mapping[str, Any]) -> str:
    user = claims.get("sub", "")
    if not isinstance(user, str) or not is_utf8(user):
        raise NotValid("sub is not a string")
    return user


def channels_of(claims: Mapping[str, Any]) -> list[str]:
    channels = claims.get("channels") or []
    if not isinstance(channels, list) or not all(isinstance(one, str) for one in channels):
        raise NotValid("channels is not a list of strings")
    return channels


def expires_in(claims: Mapping[str, Any]) -> float | None:
    """Return the seconds until a connection or subscription expires; None for never."""
    at = claims.get("expire_at", claims.get("exp"))
    if at is None or at == 0:
        return None
    if isinstance(at, bool) or not isinstance(at, int | float):
        raise NotValid("expire_at is not a number")
    left = at - time()
    if not left > 0:
        raise Expired
    return min(left, 365 * 86_400.0)
