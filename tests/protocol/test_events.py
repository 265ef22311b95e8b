"""Events of one read, divided for a link."""

from wsframe.protocol.events import Ended, Event, PingReceived, PongReceived, sort_out


def test_messages_keep_their_order_and_pings_are_to_be_answered() -> None:
    ended = Ended(1000, "", clean=True)
    pongs = PongReceived(b"mine"), PongReceived(b"his")
    events: list[Event] = ["one", PingReceived(b"a"), pongs[0], b"two", PingReceived(b"b"), pongs[1], ended]
    asked: list[bytes] = []

    def wanted(payload: bytes) -> bool:
        asked.append(payload)
        return payload == b"his"

    assert sort_out(events, wanted) == (["one", b"two", PongReceived(b"his")], [b"a", b"b"], ended)
    assert asked == [b"mine", b"his"]


def test_a_read_without_control_frames_is_all_messages() -> None:
    assert sort_out(["one", b""], lambda payload: False) == (["one", b""], [], None)
