"""``wsframe rebalance``: by the admin socket of one server, all of a service share their partitions."""

from __future__ import annotations

from pathlib import Path

import pytest
import trio

import wsframe
from wsframe.backplane import MemoryBackplane, MemoryHub
from wsframe.cli import main
from wsframe.cli.admin import admin_socket, answer_admins
from wsframe.testing import Kit, open_kit


async def rebalanced(kit: Kit, path: Path) -> int:
    """Run the command at the admin socket of a server; return its status."""
    with admin_socket(str(path)) as sock:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(answer_admins, sock, kit.server)
            status = await trio.to_thread.run_sync(main, ["rebalance", "--admin", str(path)])
            nursery.cancel_scope.cancel()
    return status


async def test_a_server_that_shares_resources_gives_those_with_clients_too(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    async with open_kit(wsframe.Resource(), backplane=MemoryBackplane(MemoryHub())) as kit:
        await kit.connect()
        giving = kit.server._internals.owner.giving  # type: ignore[attr-defined]
        assert 0 not in giving._shareable()
        assert await rebalanced(kit, tmp_path / "admin") == 0
        assert 0 in giving._shareable()
    assert capsys.readouterr().out == "the servers give partitions away until each has the same number\n"


async def test_one_that_shares_none_says_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    async with open_kit(wsframe.Resource()) as kit:
        assert await rebalanced(kit, tmp_path / "admin") == 1
    assert "not rebalanced: this server shares no resources with others" in capsys.readouterr().err


def test_nobody_at_the_socket_is_a_mistake(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["rebalance", "--admin", str(tmp_path / "none")]) == 2
    assert "is it the --admin of a server that runs?" in capsys.readouterr().err
