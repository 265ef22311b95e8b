"""The message that is arriving in pieces."""

from __future__ import annotations

from io import StringIO

__all__ = ["Assembler"]


BEYOND_ASCII = "\xe9".__sizeof__() - 2
"""The memory of a text beyond ASCII, less that of its characters and a last one that says nothing."""


class Assembler:
    """Joins the pieces of one message; wsproto splits it at frames and at reads."""

    __slots__ = ("_pieces", "_width")

    def __init__(self) -> None:
        self._pieces: StringIO | bytearray | None = None
        self._width = 1
        """Bytes that each character takes: of one text all take as many as the one that needs most."""

    @property
    def begun(self) -> bool:
        """Whether a message has begun and is not whole yet."""
        return self._pieces is not None

    @property
    def weight(self) -> int:
        """The bytes held."""
        pieces = self._pieces
        return 0 if pieces is None else pieces.tell() * self._width if isinstance(pieces, StringIO) else len(pieces)

    def add(self, piece: str | bytes | bytearray, *, last: bool) -> str | bytes | None:
        """Add a piece; return the message if this was its last."""
        if self._pieces is None:
            self._pieces = StringIO() if isinstance(piece, str) else bytearray()
            self._width = 1
        pieces = self._pieces
        if isinstance(pieces, StringIO):
            assert isinstance(piece, str)
            pieces.write(piece)
            if not piece.isascii():
                self._width = max(self._width, (piece.__sizeof__() - BEYOND_ASCII) // (len(piece) + 1))
        else:
            assert not isinstance(piece, str)
            pieces += piece
        if not last:
            return None
        self._pieces = None
        return pieces.getvalue() if isinstance(pieces, StringIO) else bytes(pieces)
