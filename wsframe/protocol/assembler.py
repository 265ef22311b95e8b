"""The message that is arriving in pieces."""

from __future__ import annotations

from io import StringIO

__all__ = ["Assembler"]


class Assembler:
    """Joins the pieces of one message; wsproto splits it at frames and at reads."""

    __slots__ = ("_pieces",)

    def __init__(self) -> None:
        self._pieces: StringIO | bytearray | None = None

    @property
    def begun(self) -> bool:
        """Whether a message has begun and is not whole yet."""
        return self._pieces is not None

    @property
    def weight(self) -> int:
        """The characters or bytes held."""
        pieces = self._pieces
        return 0 if pieces is None else pieces.tell() if isinstance(pieces, StringIO) else len(pieces)

    def add(self, piece: str | bytes | bytearray, *, last: bool) -> str | bytes | None:
        """Add a piece; return the message if this was its last."""
        if self._pieces is None:
            self._pieces = StringIO() if isinstance(piece, str) else bytearray()
        pieces = self._pieces
        if isinstance(pieces, StringIO):
            pieces.write(str(piece))
        else:
            assert not isinstance(piece, str)
            pieces += piece
        if not last:
            return None
        self._pieces = None
        return pieces.getvalue() if isinstance(pieces, StringIO) else bytes(pieces)
