"""JSON Web Tokens, for connections and subscriptions."""

from __future__ import annotations

import subprocess
import sys
from time import time
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from hypothesis import given
from hypothesis import strategies as st

from tests.centrifuge.speaking import Speaker, connected, speaking
from tests.patience import PATIENCE
from wsframe.centrifuge import (
    CentrifugeDisconnect,
    CentrifugeError,
    CentrifugeResource,
    Connected,
    JWTTokens,
    Subscribed,
)

KEY = "a secret of thirty-two bytes or more"
TOKENS = JWTTokens(KEY, ["HS256"])


def signed(key: Any = KEY, algorithm: str = "HS256", **claims: Any) -> str:
    return jwt.encode(claims, key, algorithm)


async def test_a_connection_token_names_user_information_and_channels() -> None:
    answer = await TOKENS.connection(signed(sub="7", exp=time() + 60, info={"a": 1}, channels=["x", "y"]))
    assert answer.expires is not None
    assert 50 < answer.expires <= 60
    assert (answer.user, answer.info, answer.subscriptions) == ("7", {"a": 1}, ["x", "y"])
    assert await TOKENS.connection(signed()) == Connected(user="", subscriptions=[])


async def test_the_end_of_a_connection_can_be_another_than_that_of_its_token() -> None:
    assert (await TOKENS.connection(signed(exp=time() + 60, expire_at=0))).expires is None
    answer = await TOKENS.connection(signed(exp=time() + 60, expire_at=time() + 600))
    assert answer.expires is not None
    assert answer.expires > 500
    assert (await TOKENS.connection(signed(exp=1e300))).expires == 365 * 86_400


@pytest.mark.parametrize("claims", [{"exp": 1}, {"expire_at": 1}, {"exp": time() + 86_400, "expire_at": time() - 60}])
async def test_an_expired_token_is_told_from_a_wrong_one(claims: dict[str, Any]) -> None:
    with pytest.raises(CentrifugeError, match="109"):
        await TOKENS.connection(signed(**claims))
    with pytest.raises(CentrifugeError, match="109"):
        await TOKENS.subscription(signed(channel="c", **claims), "", "c")


@pytest.mark.parametrize(
    "token",
    [
        "x",
        "a.b.c",
        "\ud800",
        signed("another secret of thirty-two bytes or more"),
        signed(algorithm="HS512", key=KEY * 2),
        signed(key=None, algorithm="none"),
        signed(sub="7", aud="others"),
        signed(channels="x"),
        signed(channels=[1]),
        signed(expire_at="soon"),
        signed(expire_at=True),
        signed(nbf=time() + 86_400),
        signed(sub="7", channel="c"),  # of a subscription
    ],
)
async def test_a_token_that_is_not_valid_ends_the_client(token: str) -> None:
    with pytest.raises(CentrifugeDisconnect, match="3500"):
        await TOKENS.connection(token)


async def test_a_subscription_token_is_of_one_user_and_one_channel() -> None:
    token = signed(sub="7", channel="c", info="i", exp=time() + 60)
    answer = await TOKENS.subscription(token, "7", "c")
    assert (answer.info, answer.expires is None) == ("i", False)
    for user, channel in (("8", "c"), ("7", "d"), ("", "c")):
        with pytest.raises(CentrifugeError, match="103"):
            await TOKENS.subscription(token, user, channel)


async def test_without_a_token_nobody_connects_or_subscribes_unless_told_so() -> None:
    with pytest.raises(CentrifugeError, match="101"):
        await TOKENS.connection("")
    with pytest.raises(CentrifugeError, match="103"):
        await TOKENS.subscription("", "7", "c")
    open_to_all = JWTTokens(KEY, ["HS256"], anonymous=True, free=True)
    assert await open_to_all.connection("") == Connected()
    assert await open_to_all.subscription("", "7", "c") == Subscribed()


async def test_audience_and_issuer_are_checked_if_they_are_named() -> None:
    tokens = JWTTokens(KEY, ["HS256"], audience="us", issuer="me")
    assert (await tokens.connection(signed(sub="7", aud=["us"], iss="me"))).user == "7"
    for claims in ({"aud": "us"}, {"aud": "us", "iss": "you"}, {"iss": "me"}, {"aud": "you", "iss": "me"}):
        with pytest.raises(CentrifugeDisconnect):
            await tokens.connection(signed(sub="7", **claims))


async def test_a_public_key_verifies() -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    tokens = JWTTokens(key.public_key(), ["ES256"])
    assert (await tokens.connection(signed(key, "ES256", sub="7"))).user == "7"
    with pytest.raises(CentrifugeDisconnect):
        await tokens.connection(signed(sub="7"))


@pytest.mark.parametrize("algorithms", [[], "HS256", ["none"], ["HS256", "None"], ["RS256", "HS256"]])
def test_algorithms_that_let_strangers_in_are_refused(algorithms: Any) -> None:
    with pytest.raises(ValueError, match=r"algorithm|HMAC"):
        JWTTokens(KEY, algorithms)


@given(st.text(max_size=40))
def test_any_text_is_a_token_that_is_not_valid(token: str) -> None:
    steps = TOKENS.connection(token)
    with pytest.raises((CentrifugeDisconnect, CentrifugeError)):
        steps.send(None)


async def test_a_resource_verifies_with_them() -> None:
    class Verifying(CentrifugeResource):
        tokens = JWTTokens(KEY, ["HS256"], free=True)

    resource = Verifying()
    async with speaking(resource) as kit:
        speaker = await connected(kit, token=signed(sub="7", exp=time() + 60))
        (client,) = resource.clients
        connection = resource.connection_of(client)
        assert connection is not None
        assert connection.user == "7"
        assert await speaker.ask("subscribe", channel="open") == {}
        token = signed(sub="7", channel="mine", exp=time() + 30)
        assert (await speaker.ask("subscribe", channel="mine", token=token))["expires"] is True
        assert (await speaker.ask("refresh", token=signed(sub="7")))["client"] == client.id
        other = Speaker(await kit.connect())
        assert (await other.ask("connect"))["code"] == 101


def test_without_pyjwt_the_rest_of_the_room_works() -> None:
    code = (
        "import sys; sys.modules['jwt'] = None\n"
        "from wsframe.centrifuge import CentrifugeResource, JWTTokens\n"
        "try:\n    JWTTokens('x', ['HS256'])\n"
        "except ImportError as error:\n    print(error)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=PATIENCE, check=True)
    assert done.stdout == "JWTTokens needs PyJWT: pip install 'wsframe[jwt]'\n"
