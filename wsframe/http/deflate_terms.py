"""The terms of permessage-deflate, negotiated in the heads of both sides (RFC 7692 sections 5 and 7.1).

A server takes one of the client's offers (:func:`negotiate`); a client makes offers
(:func:`offer`) and reads the answer (:func:`agreed`). wsproto's extension accepts parameters
that it should decline, so these rules are our own.
"""

from __future__ import annotations

from functools import lru_cache
from re import compile as pattern

from wsframe.log import quoted
from wsframe.protocol.deflate import LEAST_BITS, Deflate, Terms

__all__ = ["TOKEN", "agreed", "negotiate", "offer"]

PARAMETERS = (
    "server_no_context_takeover",
    "client_no_context_takeover",
    "server_max_window_bits",
    "client_max_window_bits",
)

TOKEN = r"[!#$%&'*+.^_`|~0-9A-Za-z-]+"
SPACE = r"[ \t]*"
PARAMETER = pattern(rf'{SPACE};{SPACE}({TOKEN}){SPACE}(?:={SPACE}(?:({TOKEN})|"({TOKEN})"){SPACE})?')
NAME = pattern(rf"{SPACE}({TOKEN}){SPACE}")

# Every server that compresses at all takes it, and may answer as it likes.
BROWSERS = "permessage-deflate; client_max_window_bits"


def negotiate(fields: list[str], options: Deflate, *, takeover: bool = True) -> Terms | None:
    """Take the first acceptable offer; None if there is none (RFC 7692 section 5).

    Args:
        fields: The values of Sec-WebSocket-Extensions.
        options: The server's.
        takeover: Whether our compressor can keep its context: not if messages can be dropped
            after they were compressed.
    """
    for offer in parse_offers(fields):
        terms = accept_offer(offer, options, takeover=takeover and options.mode == "dedicated")
        if terms is not None:
            return terms
    return None


def parse_offers(fields: list[str]) -> list[dict[str, str | None]]:
    """Parse the offers of permessage-deflate; leave out faulty ones, as section 7.1 asks."""
    offers = []
    for offer in ",".join(fields).split(","):
        name = NAME.match(offer)
        if name is None or name[1].lower() != "permessage-deflate":
            continue
        at = name.end()
        parameters: dict[str, str | None] = {}
        while at < len(offer):
            found = PARAMETER.match(offer, at)
            if found is None or found[1] in parameters or found[1] not in PARAMETERS:
                break
            parameters[found[1]] = found[2] or found[3]
            at = found.end()
        else:
            offers.append(parameters)
    return offers


def window(value: str | None) -> int | None:
    """Read window bits: 8 to 15, without leading zeros; None if it is anything else."""
    return int(value) if value in ("8", "9", "10", "11", "12", "13", "14", "15") else None


def accept_offer(offer: dict[str, str | None], options: Deflate, *, takeover: bool) -> Terms | None:
    answer = ["permessage-deflate"]
    for name in ("server_no_context_takeover", "client_no_context_takeover"):
        if offer.get(name) is not None:  # they have no value
            return None
    server_bits = client_bits = options.window_bits
    if "server_max_window_bits" in offer:
        asked = window(offer["server_max_window_bits"])
        if asked is None or asked < LEAST_BITS:
            return None
        server_bits = min(asked, server_bits)
        # An offer with the parameter finds it in the answer, even at its default (section 7.1.2.1). One without
        # does not: some clients fail at it, and a smaller window needs no permission.
        answer.append(f"server_max_window_bits={server_bits}")
    if "client_max_window_bits" not in offer:
        client_bits = 15
    elif offer["client_max_window_bits"] is not None:
        asked = window(offer["client_max_window_bits"])
        if asked is None:
            return None
        client_bits = min(asked, client_bits)
    if "client_max_window_bits" in offer and client_bits < 15:
        answer.append(f"client_max_window_bits={client_bits}")
    server_takeover = takeover and "server_no_context_takeover" not in offer
    # A context wider than the options say is not held: the peer that cannot be held to a window does without.
    holds = options.mode == "dedicated" and client_bits <= options.window_bits
    client_takeover = holds and "client_no_context_takeover" not in offer
    answer += [] if server_takeover else ["server_no_context_takeover"]
    answer += [] if client_takeover else ["client_no_context_takeover"]
    # A client that offers no parameter may know none: Mojolicious goes on with its context, whatever it is told.
    told = not client_takeover and not offer
    return one_for_all(Terms(server_bits, client_bits, server_takeover, client_takeover, "; ".join(answer), told))


@lru_cache(maxsize=64)
def one_for_all(terms: Terms) -> Terms:
    """Return equal terms of an earlier client: most clients agree on the same, and each would hold 0.3 KiB of them."""
    return terms


def offer(options: Deflate) -> str:
    """Make the offer of browsers; for shared compression, first the same without contexts (RFC 7692 section 5).

    No window of the server's is named: there are servers that answer 400 to that.
    """
    if options.mode == "dedicated":
        return BROWSERS
    return f"{BROWSERS}; server_no_context_takeover; client_no_context_takeover, {BROWSERS}"


def agreed(fields: list[str], options: Deflate | None) -> Terms | None:
    """Read the server's answer; None if it declined.

    It takes any answer that it can read: a parameter left open costs memory for the window of a
    server that compresses with its context, 32 KiB at most.

    Args:
        fields: The values of Sec-WebSocket-Extensions in the 101.
        options: The options offered; None if nothing was.

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
    if options is not None and len(offers) > 1:
        # Servers of libsoup do so; they compress each message as many times.
        raise ValueError(
            f"the server accepted {len(offers)} offers of permessage-deflate, where it can accept one; "
            "connect with Deflate.dedicated(), which makes one offer, or with deflate=None"
        )
    if options is None or not offers or "," in answer:
        raise ValueError(f"{quoted(answer)} was not offered")
    parameters = offers[0]
    for name in ("server_no_context_takeover", "client_no_context_takeover"):
        if parameters.get(name) is not None:
            raise ValueError(f"{name} has no value")
    if parameters.get("client_max_window_bits", "") is None:  # the offer sent back as it was
        del parameters["client_max_window_bits"]
    client_bits = bits_of(parameters, "client_max_window_bits")
    return Terms(
        # A wider window than we offered is not used (section 7.1.2.2). One of 8
        # bits, which zlib cannot compress for, makes us send uncompressed.
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
