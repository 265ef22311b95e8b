"""The hooks by which a resource goes on in a new process with its clients connected, in a rolling restart."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Generic, TypeVar

if TYPE_CHECKING:
    from wsframe.resources.client import Client, DataT
else:
    DataT = TypeVar("DataT")

__all__ = ["HandingOver", "hands_over"]


class HandingOver(Generic[DataT]):
    """The hooks of a hand-over; :class:`Resource` has them.

    Only a resource that defines :meth:`hand_over` takes part. In a rolling restart its clients then stay connected:
    their sockets go to the new process, where the new object goes on with them. Neither ``disconnected`` nor
    ``client_connected`` is called.

    State that is handed over is a convenience. A worker that is killed, or a hand-over that fails, loses it: state
    that must survive is in a database.
    """

    async def hand_over(self) -> bytes:
        """Return the state of this resource for the object that goes on in the new process.

        It is called in the listener task after everything that waited there, when the tasks of the resource and of
        its clients have ended, and before ``running()`` is left. ``self.clients`` are those that go along. They are
        frozen already: sending to them returns False. It has 5 s; if it raises or takes longer, all of them are
        closed 1012.
        """
        return b""

    async def take_over(self, state: bytes) -> None:
        """Take the state that :meth:`hand_over` of the old object returned.

        It is called in the listener task, after ``running()`` has been entered and before any other hook; the
        clients come after it. An object of scope ``"shared"`` lives in the new process before the old one ends: it has
        clients of its own by then, and its hooks have run. The code can be newer than that of the old object: the state
        needs a version. It has 5 s; if it raises or takes longer, the clients are closed 1012, and the resource goes on
        without them.
        """

    def client_state(self, client: Client[DataT]) -> Any:
        """Return the state of one client for :meth:`restore_client`: JSON values and bytes.

        The default returns ``client.data``. It is called after the client's last hook and before :meth:`hand_over`.
        If it raises, or returns anything else, the client is closed 1012 and gets its ``disconnected`` first.
        """
        return client.data

    def restore_client(self, client: Client[DataT], state: Any) -> None:
        """Take the state of one client in the new process; the default makes it ``client.data``.

        It is called for each client after :meth:`take_over`, and not for clients that come later. Tuples have become
        lists. ``client.id``, ``request`` and the topics are as they were. Sending works. If it raises, the client is
        closed 1012, and ``disconnected`` is called here.
        """
        client.data = state


def hands_over(resource: HandingOver[Any]) -> bool:
    """Return whether a resource takes part in hand-overs."""
    return type(resource).hand_over is not HandingOver.hand_over
