"""permessage-deflate from the client's side: what is offered, and which answer is one (RFC 7692 section 7.1)."""

from __future__ import annotations

from wsframe.log import quoted
from wsframe.protocol.deflate import Deflate, Terms, parse_offers, window

__all__ = ["agreed", "offer"]


# Every server that compresses at all takes it, and may answer as it likes.
BROWSERS = "permessage-deflate; client_max_window_bits"


def offer(options: Deflate) -> str:
    """Offer what browsers do; before that, for shared compression, the same without contexts (RFC 7692 section 5).

    No window of the server's is named: there are servers that answer 400 to that.
    """
    if options.mode == "dedicated":
        return BROWSERS
    return f"{BROWSERS}; server_no_context_takeover; client_no_context_takeover, {BROWSERS}"


def agreed(fields: list[str], options: Deflate | None) -> Terms | None:
    """Read the server's answer; None if it declined.

    Any answer that can be read is taken: what it leaves open costs memory for the window of a
    server that compresses with its context, 32 KiB at most.

    Args:
        fields: The values of Sec-WebSocket-Extensions in the 101.
        options: What was offered; None if nothing was.

    Returns:
        The terms with the roles exchanged, as compressor and inflater take them: there
        ``server_bits`` are those of the compressor here, ``client_bits`` the peer's.

    Raises:
        ValueError: For an extension that was not offered, or parameters that are wrong.
    """
    answer = ", ".join(fields)
    if not answer.strip(" \t,"):
        return None
    offers = parse_offers(fields)
    if options is None or not offers or "," in answer:
        raise ValueError(f"{quoted(answer)} is not what was offered")
    parameters = offers[0]
    for name in ("server_no_context_takeover", "client_no_context_takeover"):
        if parameters.get(name) is not None:
            raise ValueError(f"{name} has no value")
    if parameters.get("client_max_window_bits", "") is None:  # the offer sent back as it was
        del parameters["client_max_window_bits"]
    client_bits = bits_of(parameters, "client_max_window_bits")
    return Terms(
        # A wider one than we spoke of allows what we shall not use (section 7.1.2.2). One of 8
        # bits, which zlib cannot compress for, leaves us to send what is not compressed.
        server_bits=min(client_bits, options.window_bits),
        client_bits=bits_of(parameters, "server_max_window_bits"),
        server_takeover=options.mode == "dedicated" and "client_no_context_takeover" not in parameters,
        client_takeover="server_no_context_takeover" not in parameters,
        answer=answer.strip(" \t"),
    )


def bits_of(parameters: dict[str, str | None], name: str) -> int:
    if name not in parameters:
        return 15
    bits = window(parameters[name])
    if bits is None:
        raise ValueError(f"{name} is not a number of bits from 8 to 15")
    return bits
