"""Headers before a request, and fields in it, from proxies and from clients that pretend to be some."""

from ipaddress import ip_address
from random import Random

from tests.fuzz.promises import keep
from wsframe.http.forwarded import Seen, seen_by_proxies
from wsframe.http.origins import split_host
from wsframe.http.responses import Reject
from wsframe.net.proxy_protocol import (
    MOST_BYTES,
    MalformedProxyHeader,
    ProxyHeader,
    ProxyHeaderReader,
    encode_proxy_v2,
)
from wsframe.net.trusted_proxies import TrustedProxies

__all__ = ["forwarded", "proxied"]

PROXIES = TrustedProxies(["127.0.0.1", "10.0.0.0/8"])
PEER = ("127.0.0.1", 5000)
NAMES = (b"x-forwarded-for", b"forwarded", b"x-real-ip", b"x-forwarded-proto", b"x-forwarded-host", b"x_forwarded_for")
CLIENT = "192.0.2.1"


def proxied(data: bytes) -> None:
    """Feed a PROXY header, in one piece and in many: the same comes of it."""
    seed, stream = data[:2].ljust(2, b"\0"), data[2:]
    whole = read_header(stream, len(stream) or 1, Random(0))
    pieces = read_header(stream, seed[0] % 20 + 1, Random(bytes(seed)))
    keep(whole == pieces, f"in pieces {pieces!r:.200}, in one {whole!r:.200}")
    if isinstance(whole, ProxyHeader) and whole.client is not None:
        for host, port in (whole.client, whole.server or whole.client):
            keep(not host or str(ip_address(host)) == host, f"address {host!r}")
            keep(0 <= port < 65536, f"port {port}")
        again = read_header(encode_proxy_v2(whole.client, whole.server), MOST_BYTES, Random(0))
        keep(isinstance(again, ProxyHeader) and again.client == whole.client, "written otherwise than read")
        keep(isinstance(whole.alpn + whole.authority, str), "a value that is no text")


def read_header(stream: bytes, most: int, random: Random) -> ProxyHeader | bool | None:
    """Return the header; None while it is incomplete, False if it is malformed."""
    reader, fed = ProxyHeaderReader(), 0
    try:
        while fed < len(stream):
            piece = stream[fed : fed + random.randint(1, most)]
            fed += len(piece)
            header = reader.receive(piece)
            if header is not None:
                keep(stream.startswith(reader.trailing, fed - len(reader.trailing)), "trailing is not the last bytes")
                return header
            keep(fed <= MOST_BYTES + len(piece), f"{fed} bytes, and still no refusal")
    except MalformedProxyHeader as error:
        keep(str(error).isprintable() and len(str(error)) < 300, f"a line of {len(str(error))} characters")
        return False
    return None


def forwarded(data: bytes) -> None:
    """Read fields of a client, and then those that a proxy has added: these alone count."""
    sent = [
        (NAMES[line[0] % len(NAMES)], line[1:].strip(b" \t"))
        for line in data.translate(None, b"\0\r").split(b"\n")
        if line
    ]
    seen(sent)
    for field, added in ((b"x-forwarded-for", CLIENT.encode()), (b"forwarded", f"for={CLIENT};proto=wss".encode())):
        others = [(name, value) for name, value in sent if name not in NAMES[:3]]
        own = [value for name, value in sent if name == field]
        for fields in ([*others, *((field, value) for value in own), (field, added)],
                       [*others, (field, b", ".join([*own, added]))]):  # fmt: skip
            found = seen(fields)
            keep(found is not None and found.host == CLIENT, f"the client is {found!r:.200}")


def seen(fields: list[tuple[bytes, bytes]]) -> Seen | None:
    """Return the values of the fields; None if they contradict each other."""
    try:
        found = seen_by_proxies(fields, *PEER, PROXIES)
    except Reject as reject:
        keep(reject.status == 400 and reject.body.isprintable(), f"refused with {reject!r}")
        return None
    keep(str(ip_address(found.host)) == found.host, f"address {found.host!r}")
    keep(0 <= found.port < 65536, f"port {found.port}")
    keep(found.authority is None or split_host(found.authority.decode())[0] != "", f"Host {found.authority!r}")
    return found
