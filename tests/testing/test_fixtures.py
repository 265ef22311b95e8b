"""The pytest plugin: its fixtures, and that it costs nothing where they are not used."""

from __future__ import annotations

import os
import subprocess
import sys
import tomllib

import pytest
import trio
from websockets.trio.client import connect

import wsframe
from tests.documents import ROOT
from tests.recorder import Echo, Recorder
from wsframe.testing.fixtures import client_factory, server_factory

pytest_plugins = ["pytester"]

PLUGIN = "_wsframe_pytest"
CONFIG = "[pytest]\nfilterwarnings = error\n"


def run(pytester: pytest.Pytester, *args: str, trio_mode: bool = True) -> pytest.RunResult:
    """Run pytest in a process of its own, with this plugin, and with pytest-trio or with nothing else."""
    pytester.makeini(f"{CONFIG}trio_mode = true\n" if trio_mode else CONFIG)
    plugins = ["pytest_trio.plugin", PLUGIN] if trio_mode else [PLUGIN]
    return pytester.runpytest_subprocess(*(arg for name in plugins for arg in ("-p", name)), *args)


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have only those plugins loaded that are named, installed or not."""
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
    monkeypatch.setenv("PYTHONPATH", str(ROOT), prepend=os.pathsep)


def test_module_named_in_the_project_is_there() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    assert list(project["project"]["entry-points"]["pytest11"].values()) == [PLUGIN]
    assert project["tool"]["setuptools"]["py-modules"] == [PLUGIN]


def test_importing_the_plugin_imports_nothing_of_wsframe_or_trio() -> None:
    code = "import sys, _wsframe_pytest; print([name for name in sys.modules if name in ('wsframe', 'trio')])"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


def test_fixtures_serve_until_the_end_of_the_test(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        """
        import wsframe
        from websockets.trio.client import connect

        class Chat(wsframe.Resource):
            async def received_text(self, client, message):
                self.broadcast_text(message)

        chat = Chat()

        async def test_memory(wsframe_client, autojump_clock):
            alice, bob = await wsframe_client(chat), await wsframe_client(chat)
            alice.send_text("hello")
            assert await alice.receive() == await bob.receive() == "hello"

        async def test_it_is_over():
            assert len(chat.clients) == 0

        async def test_network(wsframe_server):
            server = await wsframe_server(chat, "/chat")
            async with connect(server.addresses[0] + "/chat", proxy=None) as alice:
                await alice.send("hello")
                assert await alice.recv() == "hello"
        """
    )
    run(pytester).assert_outcomes(passed=3)


def test_global_registry_is_put_back_around_each_test(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        test_a_imported_by_the_test="""
        def test_a():
            import wsframe
            wsframe.register_global_resource("/a", wsframe.Resource())
            wsframe.register_global_resource("/{b}/c", wsframe.Resource())
            wsframe.register_global_dispatcher(lambda request: None)

        def test_b():
            import wsframe
            assert wsframe.find_global_resource("/a") is wsframe.find_global_resource("/b/c") is None
            from wsframe.resources.routing.registry import global_registry
            assert len(global_registry) == 0
        """,
        test_b_imported_before="""
        import pytest, wsframe

        always = wsframe.Resource()

        @pytest.fixture(scope="module", autouse=True)
        def registered():
            wsframe.register_global_resource("/always", always)

        def test_c():
            wsframe.unregister_global_resource("/always")
            wsframe.register_global_resource("/x/{y}", wsframe.Resource())

        def test_d():
            assert wsframe.find_global_resource("/always") is always
            assert wsframe.find_global_resource("/x/y") is None
        """,
    )
    # In processes of their own: the modules of one file must not be those of the other.
    run(pytester, "test_a_imported_by_the_test.py").assert_outcomes(passed=2)
    run(pytester, "test_b_imported_before.py").assert_outcomes(passed=2)


def test_projects_without_trio_tests_are_not_disturbed(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        """
        import sys

        def test_nothing_was_imported():
            assert not [name for name in sys.modules if name in ("wsframe", "trio")]
        """
    )
    run(pytester, trio_mode=False).assert_outcomes(passed=1)


async def test_clients_of_the_same_resource_meet(autojump_clock: trio.testing.MockClock) -> None:
    room, other = Recorder(), Echo()
    async with client_factory() as connect_client:
        one, two = await connect_client(room, timeouts=wsframe.Timeouts(close=1)), await connect_client(room)
        third = await connect_client(other, "/other", origin="http://localhost")
        room.broadcast_text("hello")
        assert [await client.receive() for client in (one, two)] == ["hello", "hello"]
        third.send_text("alone")
        assert await third.receive() == "alone"
        with pytest.raises(TypeError, match="timeouts: the server is already running"):
            await connect_client(room, timeouts=wsframe.Timeouts(close=2))
    assert room.notes == ["connected", "connected", "disconnected 1000", "disconnected 1000"]


async def test_server_factory_serves_resources_and_registries() -> None:
    registry = wsframe.Registry()
    registry.register("/two", Echo())
    async with server_factory() as serve:
        for server, path in ((await serve(Echo(), "/one"), "/one"), (await serve(registry), "/two")):
            async with connect(server.addresses[0] + path, proxy=None) as client:
                await client.send("hello")
                assert await client.recv() == "hello"


async def test_server_that_cannot_start_is_the_callers_error() -> None:
    async with server_factory() as serve:
        with pytest.raises(ValueError, match="sockets is empty"):
            await serve(Echo(), sockets=[])
    with pytest.raises(ZeroDivisionError):
        async with client_factory():
            raise ZeroDivisionError
