"""Messages that can be sent to a client, and refused ones: no sockets."""

from collections.abc import Callable
from typing import cast

import pytest
import trio

import wsframe
from tests.kernel import FakeKernel, Rig
from tests.wire import BINARY, CONTINUATION, PING, TEXT, Frame
from wsframe.connection.interfaces import ClientLink
from wsframe.http.request import Request

Sent = tuple[wsframe.Client, FakeKernel]


class NoLink:
    """A link of which these tests use nothing; any use would fail."""

    @property
    def state(self) -> wsframe.State:
        return wsframe.State.OPEN


def make_client(rig: Rig, data: object = None) -> wsframe.Client:
    fields = [(b"Host", b"h"), (b"Origin", b"http://o"), (b"Sec-WebSocket-Version", b"13")]
    request = Request("/path?x=1", fields, host="192.0.2.1", port=4711)
    return wsframe.Client(cast("ClientLink", NoLink()), rig.outbox, request, wsframe.Resource(), "chat", data)


@pytest.fixture
def rig() -> Rig:
    return Rig()


@pytest.fixture
def client(rig: Rig) -> wsframe.Client:
    return make_client(rig)


def sent(rig: Rig) -> list[Frame]:
    rig.flusher.flush()
    return rig.kernel.frames


@pytest.mark.parametrize("message", ["grüß", "grüß".encode(), bytearray("grüß".encode()), memoryview("grüß".encode())])
async def test_text_may_be_given_as_str_or_as_bytes(
    rig: Rig, client: wsframe.Client, message: str | bytes | bytearray | memoryview
) -> None:
    assert client.send_text(message) is True
    assert sent(rig) == [Frame(TEXT, "grüß".encode())]


@pytest.mark.parametrize("message", [b"\x00\xff", bytearray(b"\x00\xff"), memoryview(b"\x00\xff")])
async def test_binary_may_be_any_bytes(
    rig: Rig, client: wsframe.Client, message: bytes | bytearray | memoryview
) -> None:
    assert client.send_binary(message) is True
    assert sent(rig) == [Frame(BINARY, b"\x00\xff")]


async def test_send_chooses_by_type(rig: Rig, client: wsframe.Client) -> None:
    for message in ("text", b"bytes", bytearray(b"array"), memoryview(b"view")):
        assert client.send(message)
    assert [frame.opcode for frame in sent(rig)] == [TEXT, BINARY, BINARY, BINARY]


async def test_message_that_changes_later_is_sent_as_it_was(rig: Rig, client: wsframe.Client) -> None:
    message = bytearray(b"before")
    client.send_binary(message)
    client.send_text(memoryview(message))
    message[:] = b"after!"
    assert [frame.payload for frame in sent(rig)] == [b"before", b"before"]


async def test_memoryview_of_any_shape_is_sent_byte_by_byte(rig: Rig, client: wsframe.Client) -> None:
    client.send_binary(memoryview(b"a-b-c-")[::2])
    assert sent(rig) == [Frame(BINARY, b"abc")]


@pytest.mark.parametrize("length", [0, 1, 125, 126, 65535, 65536, 100_000])
async def test_every_form_of_the_length_is_sent(rig: Rig, client: wsframe.Client, length: int) -> None:
    client.send_binary(bytes(length))
    client.send_text("x" * length)
    assert sent(rig) == [Frame(BINARY, bytes(length)), Frame(TEXT, b"x" * length)]


async def test_frame_size_splits_a_message(rig: Rig, client: wsframe.Client) -> None:
    assert client.send_text("abcdefg", frame_size=3)
    assert sent(rig) == [
        Frame(TEXT, b"abc", fin=False),
        Frame(CONTINUATION, b"def", fin=False),
        Frame(CONTINUATION, b"g"),
    ]


async def test_frame_size_splits_a_binary_message_at_exact_multiples(rig: Rig, client: wsframe.Client) -> None:
    assert client.send_binary(b"abcdef", frame_size=3)
    assert sent(rig) == [Frame(BINARY, b"abc", fin=False), Frame(CONTINUATION, b"def")]


@pytest.mark.parametrize("message", ["", "abc"])
async def test_frame_size_leaves_a_short_message_whole(rig: Rig, client: wsframe.Client, message: str) -> None:
    assert client.send_text(message, frame_size=3)
    assert sent(rig) == [Frame(TEXT, message.encode())]


WRONG_TYPES: list[object] = [None, 1, 1.5, ["text"], object()]


@pytest.mark.parametrize("message", WRONG_TYPES)
async def test_messages_of_other_types_are_type_errors(rig: Rig, client: wsframe.Client, message: object) -> None:
    accepted = "bytes, bytearray or memoryview"
    wanted = {
        client.send: f"a message must be str, {accepted}",
        client.send_text: f"a text message must be str, or UTF-8 as {accepted}",
        client.send_binary: f"a binary message must be {accepted}",
        client.ping: f"the payload of a ping must be {accepted}",
    }
    for send, words in wanted.items():
        with pytest.raises(TypeError, match=f"^{words}, not {type(message).__name__}$"):
            cast("Callable[[object], bool]", send)(message)
    assert sent(rig) == []


async def test_text_as_binary_is_a_type_error_that_names_what_is_wanted(client: wsframe.Client) -> None:
    with pytest.raises(TypeError, match="bytes, bytearray or memoryview, not str"):
        client.send_binary("text")  # type: ignore[arg-type]


async def test_lone_surrogate_is_a_value_error(rig: Rig, client: wsframe.Client) -> None:
    with pytest.raises(ValueError, match="surrogate"):
        client.send_text("\ud800")
    assert sent(rig) == []


@pytest.mark.parametrize("frame_size", [0, -1])
async def test_frame_size_below_one_is_a_value_error(rig: Rig, client: wsframe.Client, frame_size: int) -> None:
    with pytest.raises(ValueError, match="frame_size"):
        client.send_text("x", frame_size=frame_size)
    with pytest.raises(ValueError, match="frame_size"):
        client.send_binary(b"x", frame_size=frame_size)
    assert sent(rig) == []


async def test_ping_carries_up_to_125_bytes(rig: Rig, client: wsframe.Client) -> None:
    assert client.ping()
    assert client.ping(bytes(125))
    assert sent(rig) == [Frame(PING, b""), Frame(PING, bytes(125))]


async def test_ping_over_125_bytes_is_a_value_error(rig: Rig, client: wsframe.Client) -> None:
    with pytest.raises(ValueError, match="125"):
        client.ping(bytes(126))
    assert sent(rig) == []


async def test_sending_to_a_client_that_is_gone_returns_false(rig: Rig, client: wsframe.Client) -> None:
    rig.outbox.give_up()
    assert client.send("x") is False
    assert client.send_text("x", frame_size=1) is False
    assert client.send_binary(b"x") is False
    assert client.ping() is False


async def test_wrong_types_are_errors_even_when_the_client_is_gone(rig: Rig, client: wsframe.Client) -> None:
    rig.outbox.give_up()
    with pytest.raises(TypeError):
        client.send_text(1)  # type: ignore[arg-type]


async def test_sending_from_another_thread_names_the_way(rig: Rig, client: wsframe.Client) -> None:
    for send in (lambda: client.send("x"), lambda: client.send_text("x", frame_size=1), client.ping):
        with pytest.raises(RuntimeError, match=r"Resource\.post_from_thread"):
            await trio.to_thread.run_sync(send)
    assert sent(rig) == []


@pytest.mark.parametrize("code", [0, 999, 1004, 1005, 1006, 1015, 1016, 2999, 5000, -1])
async def test_close_code_that_may_not_be_sent_is_a_value_error(client: wsframe.Client, code: int) -> None:
    for end in (client.close, client.reject):
        with pytest.raises(ValueError, match=str(code)):
            end(code)
    assert not client.rejected


@pytest.mark.parametrize("code", ["1000", 1000.0, None, True])
async def test_close_code_that_is_no_int_is_a_type_error(client: wsframe.Client, code: object) -> None:
    for end in cast("tuple[Callable[[object], bool], ...]", (client.close, client.reject)):
        with pytest.raises(TypeError):
            end(code)


async def test_reason_that_is_no_str_is_a_type_error(client: wsframe.Client) -> None:
    with pytest.raises(TypeError, match="reason"):
        client.close(1000, b"bye")  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="reason"):
        client.reject(1008, b"bye")  # type: ignore[arg-type]
    assert not client.rejected


async def test_facts_of_the_request_are_on_the_client(client: wsframe.Client) -> None:
    assert (client.path, client.host, client.port) == ("/path", "192.0.2.1", 4711)
    assert client.request.query == {"x": ["1"]}
    assert client.request.origin == "http://o"
    assert (client.subprotocol, client.version, client.extensions) == ("chat", 13, ())


async def test_new_client_has_no_close_facts(client: wsframe.Client) -> None:
    assert (client.close_code, client.close_reason, client.closed_cleanly) == (None, "", False)
    assert client.rejected is False


async def test_id_is_32_hexadecimal_digits_and_stays(client: wsframe.Client) -> None:
    assert len(client.id) == 32
    assert int(client.id, 16) >= 0
    assert client.id == client.id


async def test_ids_differ(rig: Rig) -> None:
    assert len({make_client(rig).id for _ in range(1000)}) == 1000


async def test_data_is_free_for_the_user(rig: Rig) -> None:
    client = make_client(rig, data={"user": 1})
    assert client.data == {"user": 1}
    client.data = "other"
    assert client.data == "other"


async def test_client_takes_no_attributes_beside_data(client: wsframe.Client) -> None:
    """A misspelt attribute is an error at once; ``data`` is the place."""
    with pytest.raises(AttributeError):
        client.nick = "x"  # type: ignore[attr-defined]


async def test_clients_are_hashable_by_identity(rig: Rig) -> None:
    first, second = make_client(rig), make_client(rig)
    assert len({first, second, first}) == 2


async def test_repr_names_peer_path_and_state(client: wsframe.Client) -> None:
    assert repr(client) == "<Client 192.0.2.1:4711 '/path' open>"
