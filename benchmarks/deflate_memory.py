"""Measure the memory that compression takes for each client: ``python -m benchmarks.deflate_memory``.

Creates the state of many clients that have each sent and received one message, and prints the
growth of the process in KiB for each client: as it is then, and as it is after a ping. Linux only.
"""

from __future__ import annotations

import ctypes
import sys
import zlib
from multiprocessing import get_context
from random import Random

from wsframe.http.deflate_terms import negotiate
from wsframe.limits import DEFAULT_LIMITS, DEFAULT_TIMEOUTS
from wsframe.protocol.decoder import Decoder
from wsframe.protocol.deflate import Deflate, Deflater, InflateExtension
from wsframe.protocol.frames import FIN, RSV1, TEXT, message_frames

libc = ctypes.CDLL(None)

BROWSERS = "permessage-deflate; client_max_window_bits"
CASES = {
    "none": (None, "", True),
    "shared(), a browser": (Deflate.shared(), BROWSERS, True),
    "shared(), a client that keeps its context all the same": (Deflate.shared(), "permessage-deflate", False),
    "dedicated(), a browser": (Deflate.dedicated(), BROWSERS, True),
    "dedicated(), a client without client_max_window_bits": (Deflate.dedicated(), "permessage-deflate", True),
    "dedicated(), one that keeps its context all the same": (Deflate.dedicated(), "permessage-deflate", False),
    "dedicated(), a client that asks for no context": (
        Deflate.dedicated(),
        "permessage-deflate; client_no_context_takeover; server_no_context_takeover",
        True,
    ),
    "dedicated(window_bits=10, mem_level=3), a browser": (
        Deflate.dedicated(window_bits=10, mem_level=3),
        BROWSERS,
        True,
    ),
    "dedicated(window_bits=15, mem_level=8), a browser": (
        Deflate.dedicated(window_bits=15, mem_level=8),
        BROWSERS,
        True,
    ),
}
"""The server's options, the client's offer, and whether the client keeps no context when told so."""

SHORT = b'{"type": "hello", "from": "the other side"}'


def resident() -> int:
    """Return the memory of this process in KiB."""
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) for line in status if line.startswith("VmRSS"))


def masked(payload: bytes) -> bytes:
    """Make a client's frame with a compressed text and a masking key of zeros."""
    frame = bytes(message_frames(TEXT | RSV1, payload, None)[0])
    at = {126: 4, 127: 10}.get(frame[1], 2)
    return bytes((FIN | RSV1 | TEXT, frame[1] | 0x80)) + frame[2:at] + bytes(4) + payload


def client(options: Deflate | None, offer: str, obeys: bool, text: bytes) -> list[object]:
    """Make the state of one client that has sent three texts, the last two alike, and received one."""
    terms = None if options is None else negotiate([offer], options)
    if options is None or terms is None:
        return [Decoder(DEFAULT_LIMITS, DEFAULT_TIMEOUTS, 0.0)]
    connection = Decoder(DEFAULT_LIMITS, DEFAULT_TIMEOUTS, 0.0, InflateExtension(terms, DEFAULT_LIMITS.max_message))
    compressor = None
    for sent in (text, SHORT, SHORT):
        if compressor is None or (obeys and not terms.client_takeover):
            compressor = zlib.compressobj(wbits=-max(terms.client_bits, 9))
        data = compressor.compress(sent) + compressor.flush(zlib.Z_SYNC_FLUSH)[:-4]
        received = connection.receive(bytearray(masked(data)), 1)
        while connection.stopped:
            received += connection.receive(bytearray(), 1)
        if received != [sent.decode()]:
            raise AssertionError(received)
    deflater = Deflater(terms, options)
    deflater.frames(TEXT, text, None, None, replaceable=False)
    return [connection, deflater]


def measure(name: str, clients: int) -> None:
    """Measure one case."""
    text = Random(1).randbytes(20_000).hex().encode()  # longer than any window
    kept = [client(*CASES[name], text) for _ in range(20)]  # includes the one-time costs of the process
    libc.malloc_trim(0)
    before = resident()
    kept += [client(*CASES[name], text) for _ in range(clients)]
    libc.malloc_trim(0)
    talking = (resident() - before) / clients
    for state in kept:
        for one in state:
            if isinstance(one, Deflater):
                one.rest()
    libc.malloc_trim(0)
    silent = (resident() - before) / clients
    print(f"{name:55}{talking:7.1f} KiB for each client, {silent:5.1f} after a ping", flush=True)


def main(clients: int) -> None:
    """Measure each case in its own process, because freed memory would be reused."""
    for name in CASES:
        process = get_context("spawn").Process(target=measure, args=(name, clients))
        process.start()
        process.join()


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 1000)
