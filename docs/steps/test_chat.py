"""The chat, with clients in memory: no port, no waiting."""

from chat import Room

from wsframe.testing import open_kit


async def test_a_name_belongs_to_one_client() -> None:
    async with open_kit(Room()) as kit:
        ann = await kit.connect()
        assert await ann.receive_text() == "user-1 joined"
        bob = await kit.connect()
        assert await bob.receive_text() == "user-2 joined"
        bob.send_text("/nick user-1")
        assert await bob.receive_text() == "you cannot be called 'user-1'"
        bob.send_text("/nick bob")
        bob.send_text("hello")
        for line in ("user-2 joined", "user-2 is now bob", "bob: hello"):
            assert await ann.receive_text() == line
