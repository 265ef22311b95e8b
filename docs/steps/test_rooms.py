"""Rooms, login and history: the whole application, in memory."""

from pathlib import Path

import pytest
import rooms
from store import Store

import wsframe
from wsframe.testing import Kit, MemoryClient, Refused, open_kit


async def log_in(kit: Kit, name: str, password: str = "secret") -> MemoryClient:
    """Log in as the form of the page does, and enter the kitchen."""
    form = f"name={name}&password={password}".encode()
    answer = await kit.request("/login", method="POST", body=form)
    cookie = answer.headers.get("Set-Cookie", "").partition(";")[0]
    return await kit.connect("/rooms/kitchen", headers={"Cookie": cookie})


async def test_a_line_is_there_for_people_who_come_later(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rooms.login, "store", Store(str(tmp_path / "test.db")))
    async with open_kit(wsframe.Registry()) as kit:
        ann = await log_in(kit, "ann")
        assert await ann.receive_json() == {"history": []}
        assert await ann.receive_json() == {"note": "ann came"}
        ann.send_text("hello")
        assert await ann.receive_json() == {"from": "ann", "text": "hello"}
        ann.close()
        bob = await log_in(kit, "bob")
        assert await bob.receive_json() == {"history": [{"from": "ann", "text": "hello"}]}


async def test_nobody_enters_without_the_password(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rooms.login, "store", Store(str(tmp_path / "test.db")))
    async with open_kit(wsframe.Registry()) as kit:
        await log_in(kit, "ann")
        with pytest.raises(Refused, match="401: log in first"):
            await log_in(kit, "ann", "guessed")
        with pytest.raises(Refused, match="401: log in first"):
            await kit.connect("/rooms/garden")
