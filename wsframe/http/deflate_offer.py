"""permessage-deflate from the client's side: what is offered, and which answer is one (RFC 7692 section 7.1)."""

from __future__ import annotations

from wsframe.log import quoted
from wsframe.protocol.deflate import Deflate, Terms, parse_offers, window

__all__ = ["agreed", "offer"]


def offer(options: Deflate) -> str:
    """Make the offer: a window no wider than ours either way, and contexts only if dedicated."""
    parts = ["permessage-deflate"]
    if options.window_bits < 15:
        parts.append(f"server_max_window_bits={options.window_bits}")
        parts.append(f"client_max_window_bits={options.window_bits}")
    else:
        parts.append("client_max_window_bits")
    if options.mode == "shared":
        parts += ["server_no_context_takeover", "client_no_context_takeover"]
    return "; ".join(parts)


def agreed(fields: list[str], options: Deflate | None) -> Terms | None:
    """Check the server's answer; None if it declined.

    Args:
        fields: The values of Sec-WebSocket-Extensions in the 101.
        options: What was offered; None if nothing was.

    Returns:
        The terms with the roles exchanged, as compressor and inflater take them: there
        ``server_bits`` are those of whoever compresses here, ``client_bits`` the peer's.

    Raises:
        ValueError: For an extension that was not offered, or parameters that were not or are wrong.
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
    server_bits = bits_of(parameters, "server_max_window_bits")
    client_bits = bits_of(parameters, "client_max_window_bits")
    if server_bits > options.window_bits:
        raise ValueError(f"a server window of {server_bits} bits is wider than what was offered")
    if client_bits < 9:
        raise ValueError("a client window of 8 bits cannot be had from zlib")
    dedicated = options.mode == "dedicated"
    server_takeover = "server_no_context_takeover" not in parameters
    if server_takeover and not dedicated:
        raise ValueError("the answer lacks server_no_context_takeover, which was asked for")
    return Terms(
        # A wider one than we spoke of allows what we shall not use (section 7.1.2.2).
        server_bits=min(client_bits, options.window_bits),
        client_bits=server_bits,
        server_takeover=dedicated and "client_no_context_takeover" not in parameters,
        client_takeover=server_takeover,
        answer=answer.strip(),
    )


def bits_of(parameters: dict[str, str | None], name: str) -> int:
    if name not in parameters:
        return 15
    bits = window(parameters[name])
    if bits is None:
        raise ValueError(f"{name} is not a number of bits from 8 to 15")
    return bits
