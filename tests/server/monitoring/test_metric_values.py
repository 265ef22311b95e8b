"""The numbers of a server: each is counted once, never falls, and can be added to those of another server."""

import json

import pytest
import trio
import trio.lowlevel

import wsframe
from tests.patience import PATIENCE
from tests.recorder import Echo, Recorder
from tests.wire import ask, close, connected, frame, head, serving, stream_to, text
from wsframe.backplane import MemoryBackplane, MemoryHub
from wsframe.server.monitoring.metric_values import FAMILIES, summed, total
from wsframe.server.monitoring.statistics_json import snapshot


def numbers(server: wsframe.Server, name: str) -> dict[tuple[str, ...], object]:
    """Return the numbers of a name, without those that are 0."""
    return {labels: number for labels, number in server.statistics().metrics[f"wsframe_{name}"].items() if number}


async def gone(server: wsframe.Server) -> None:
    while server.clients:
        await trio.lowlevel.checkpoint()


async def test_a_new_server_has_every_name() -> None:
    async with serving(Echo()) as server:
        metrics = server.statistics().metrics
        assert list(metrics) == list(FAMILIES)
        assert numbers(server, "clients") == numbers(server, "messages_total") == {}
        assert numbers(server, "ready") == {(): 1}


async def test_labels_are_as_many_as_the_family_says() -> None:
    async with serving(Door()) as server, connected(server) as peer:
        await peer.send(text("raise"))
        await peer.receive_close()
        for name, found in server.statistics().metrics.items():
            assert {len(labels) for labels in found} <= {len(FAMILIES[name].labels)}, name


class Door(Echo):
    """Refuses by path, and fails when asked to."""

    async def accept_client(self, request: wsframe.Request) -> None:
        if request.query_string:
            raise wsframe.Reject(int(request.query_string))

    async def received_text(self, client: wsframe.Client, message: str) -> None:
        if message == "raise":
            raise ValueError
        if message.isdigit():
            client.close(int(message))


@pytest.mark.parametrize(("status", "label"), [(403, "403"), (418, "418"), (599, "other"), (444, "other")])
async def test_handshakes_count_by_the_status_of_their_answer(status: int, label: str) -> None:
    async with serving(Door()) as server:
        assert (await ask(server, head(f"/?{status}"))).startswith(f"HTTP/1.1 {status}".encode())
        async with connected(server):
            assert numbers(server, "handshakes_total") == {(label,): 1, ("101",): 1}


async def test_a_peer_that_leaves_before_its_answer_counts_as_none_and_a_probe_not_at_all() -> None:
    async with serving(Door()) as server:
        async with stream_to(server):
            pass
        async with stream_to(server) as stream:
            await stream.send_all(head("/")[:20])
        while not numbers(server, "handshakes_total"):
            await trio.lowlevel.checkpoint()
        assert numbers(server, "handshakes_total") == {("none",): 1}


async def test_plain_answers_count_apart() -> None:
    async def handler(request: wsframe.Request) -> wsframe.Response:
        if request.path == "/no":
            raise wsframe.Reject(410)
        return wsframe.Response("page", 203)

    async with serving(Door(), http_handler=handler) as server:
        for path in ("/", "/no"):
            await ask(server, f"GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
        assert numbers(server, "http_responses_total") == {("203",): 1, ("410",): 1}
        assert numbers(server, "handshakes_total") == {}


@pytest.mark.parametrize(
    ("ended", "label"), [(1000, "1000"), (1001, "1001"), (3000, "other"), (4999, "other"), (None, "1005"), (0, "1006")]
)
async def test_ends_count_by_close_code(ended: int | None, label: str) -> None:
    async with serving(Door()) as server:
        async with connected(server) as peer:
            if ended == 0:
                peer.reset()
            else:
                await peer.send(close(ended))
                await peer.receive_close()
        await gone(server)
        assert numbers(server, "closes_total") == {(label,): 1}


async def test_a_client_that_is_closed_by_a_failed_hook_counts_in_both_ways() -> None:
    async with serving(Door()) as server:
        async with connected(server) as peer:
            await peer.send(text("raise"))
            assert (await peer.receive_close())[0] == 1011
            await peer.send(close(1011))
        await gone(server)
        assert numbers(server, "closes_total") == {("1011",): 1}
        assert numbers(server, "hook_errors_total") == {("received_text", "/"): 1}


class Flood(wsframe.Resource):
    """Sends more than the kernel takes of a peer that does not read."""

    limits = wsframe.Limits(max_outbox=4 * 1024 * 1024)

    async def received_text(self, client: wsframe.Client, message: str) -> None:
        for _ in range(16):
            client.send_binary(bytes(1024 * 1024))


class Lossy(Flood):
    overflow = "drop_newest"


async def test_messages_that_do_not_fit_count_by_policy_and_a_client_cut_off_by_reason() -> None:
    async with serving({"/": Flood(), "/lossy": Lossy()}) as server:
        for path in ("/", "/lossy"):
            async with stream_to(server) as stream:
                await stream.send_all(head(path) + text("now"))
                while len(numbers(server, "messages_dropped_total")) < (1 if path == "/" else 2):
                    await trio.lowlevel.checkpoint()
        dropped = numbers(server, "messages_dropped_total")
        assert set(dropped) == {("disconnect", "/"), ("drop_newest", "/lossy")}
        await gone(server)
        assert numbers(server, "messages_dropped_total") == dropped  # also when they have gone
        assert numbers(server, "evictions_total") == {("outbox_full",): 1}
        now = server.statistics()
        assert now.messages_dropped == total(now.metrics, "wsframe_messages_dropped_total")


async def test_pauses_count_by_reason() -> None:
    room = Recorder()
    async with (
        serving(room, limits=wsframe.Limits(max_queued_messages=2)) as server,
        connected(server) as peer,
    ):
        await peer.send(text("hold"))
        await room.journal.until("text hold")
        await peer.send(text("1"), text("2"), text("3"))
        while not numbers(server, "paused_clients"):
            await trio.lowlevel.checkpoint()
        assert numbers(server, "pauses_total") == {("queue",): 1}
        assert numbers(server, "queued_messages") == {("/",): 2}
        room.release.set()


async def test_compressed_bytes_count_in_both_forms() -> None:
    async with (
        serving(Echo(), deflate=wsframe.Deflate.shared()) as server,
        wsframe.connect(server.addresses[0], deflate=wsframe.Deflate.dedicated()) as websocket,
    ):
        await websocket.send("x" * 10_000)
        assert await websocket.receive() == "x" * 10_000
        found = server.statistics().metrics["wsframe_deflate_bytes_total"]
        assert found["in", "plain"] == found["out", "plain"] == 10_000
        for direction in ("in", "out"):
            packed = found[direction, "compressed"]
            assert not isinstance(packed, wsframe.Distribution)
            assert 10 < packed < 200


async def test_hooks_and_waits_are_in_the_histograms() -> None:
    async with serving(Echo()) as server, connected(server) as peer:
        for _ in range(3):
            await peer.send(text("1"))
            await peer.receive_text()
        metrics = server.statistics().metrics
        hooks, waits = metrics["wsframe_hook_seconds"]["/",], metrics["wsframe_queue_delay_seconds"]["/",]
        assert isinstance(hooks, wsframe.Distribution)
        assert isinstance(waits, wsframe.Distribution)
        assert 3 <= sum(hooks.counts) <= 4  # client_connected may still run in the batch of the last
        assert 1 <= sum(waits.counts) <= 4
        assert len(hooks.bounds) == len(hooks.counts)


async def test_numbers_of_two_servers_in_one_process_stay_apart_and_can_be_added() -> None:
    registries = [wsframe.Registry(alone=True) for _ in range(2)]
    for at, registry in enumerate(registries):
        registry.register(f"/{at}", Echo())
        registry.register("/both", Echo())
    with trio.fail_after(PATIENCE):
        async with (
            wsframe.open_server(registries[0], port=0) as one,
            wsframe.open_server(registries[1], port=0) as two,
        ):
            for server, paths in ((one, ("/0", "/both")), (two, ("/1", "/both", "/both"))):
                for path in paths:
                    async with connected(server, path) as peer:
                        await peer.send(text("1"))
                        await peer.receive_text()
            assert numbers(one, "messages_total") == {
                (way, path): 1 for way in ("in", "out") for path in ("/0", "/both")
            }
            both = summed([one.statistics().metrics, two.statistics().metrics])
            assert {labels[1]: n for labels, n in both["wsframe_messages_total"].items() if labels[0] == "in"} == {
                "/0": 1, "/1": 1, "/both": 3,
            }  # fmt: skip
            times = both["wsframe_hook_seconds"]["/both",]
            assert isinstance(times, wsframe.Distribution)
            assert sum(times.counts) >= 3


async def test_numbers_begin_again_with_each_server() -> None:
    room = Echo()
    for _ in range(2):
        async with serving(room) as server, connected(server) as peer:
            await peer.send(text("1"), frame(8))
            await peer.receive_text()
            assert numbers(server, "messages_total") == {("in", "/"): 1, ("out", "/"): 1}


async def test_the_numbers_go_into_json() -> None:
    async with serving(Echo()) as server, connected(server) as peer:
        await peer.send(text("1"))
        await peer.receive_text()
        found = json.loads(json.dumps(snapshot(server), allow_nan=False))["metrics"]
        assert {"labels": {"direction": "in", "resource": "/"}, "value": 1} in found["wsframe_messages_total"]
        [times] = found["wsframe_hook_seconds"]
        assert len(times["counts"]) == len(times["bounds"]) + 1


async def test_numbers_can_be_read_in_a_drain() -> None:
    read = []

    class Last(Recorder):
        async def disconnected(self, client: wsframe.Client) -> None:
            read.append(self.server.statistics().metrics["wsframe_ready"][()])

    async with serving(Last()) as server, connected(server) as peer:
        server.close()
        await peer.receive_close()
        await peer.send(close(1001))
        await peer.end()
    assert read == [0]


async def test_a_server_that_shares_resources_tells_its_partitions_and_whether_it_reaches_the_others() -> None:
    async with serving(Echo()) as alone:
        assert alone.statistics().metrics["wsframe_backplane_up"] == {}
        assert alone.statistics().metrics["wsframe_partitions"] == {}
    registry = wsframe.Registry(alone=True)
    registry.register("/", Echo())
    async with wsframe.open_server(registry, port=0, backplane=MemoryBackplane(MemoryHub())) as server:
        while numbers(server, "partitions") != {(): 256}:  # noqa: ASYNC110
            await trio.sleep(0.02)
        assert numbers(server, "backplane_up") == {(): 1}
