"""The pieces that a version of the protocol brings along."""

from __future__ import annotations

from wsframe import Deflate
from wsframe.connection.outbox import Outbox
from wsframe.connection.protocol_version import RFC_6455
from wsframe.hixie76 import HIXIE_76
from wsframe.http.deflate_terms import negotiate
from wsframe.limits import DEFAULT_LIMITS, DEFAULT_TIMEOUTS
from wsframe.protocol.decoder import Decoder
from wsframe.protocol.deflate import Deflater


def test_a_client_without_compression_gets_plain_frames() -> None:
    assert RFC_6455.encoder(Deflate(), None) is None
    decoder = RFC_6455.decoder(DEFAULT_LIMITS, DEFAULT_TIMEOUTS, 0.0, None)
    assert isinstance(decoder, Decoder)
    assert decoder.inflate is None


def test_agreed_compression_works_both_ways() -> None:
    options = Deflate.dedicated()
    terms = negotiate(["permessage-deflate"], options)
    assert terms is not None
    assert isinstance(RFC_6455.encoder(options, terms), Deflater)
    decoder = RFC_6455.decoder(DEFAULT_LIMITS, DEFAULT_TIMEOUTS, 0.0, terms)
    assert isinstance(decoder, Decoder)
    assert decoder.inflate is not None
    assert decoder.inflate.terms == terms


def test_only_rfc_6455_has_pings_and_plain_frames() -> None:
    assert (RFC_6455.has_pings, HIXIE_76.has_pings) == (True, False)
    assert RFC_6455.outbox is Outbox
    assert issubclass(HIXIE_76.outbox, Outbox)
    encoder = HIXIE_76.encoder(None, None)
    assert encoder is not None
    assert encoder.text_only
