"""The codes of the protocol, and the exceptions with which hooks refuse."""

from __future__ import annotations

import copy
import pickle
from typing import Any

import pytest

import wsframe
from wsframe.centrifuge.errors import DISCONNECTS, ERRORS, UNSUBSCRIBES, CentrifugeDisconnect, CentrifugeError
from wsframe.protocol.close import MAX_REASON, may_be_sent


def test_an_error_has_the_words_and_the_rule_of_the_protocol() -> None:
    assert (CentrifugeError(103).message, CentrifugeError(103).temporary) == ("permission denied", False)
    assert CentrifugeError(100).temporary
    assert CentrifugeError(111).temporary
    assert not CentrifugeError(100, temporary=False).temporary
    assert CentrifugeError(400, "closed today", temporary=True).temporary
    assert str(CentrifugeError(400, "closed today")) == "400: closed today"
    assert isinstance(CentrifugeError(400), wsframe.WsframeError)


@pytest.mark.parametrize("error", [CentrifugeError(400, "no", temporary=True), CentrifugeDisconnect(4000, "no")])
def test_errors_can_be_copied_and_pickled(error: wsframe.WsframeError) -> None:
    for one in (copy.copy(error), pickle.loads(pickle.dumps(error))):
        assert (type(one), str(one), one.__dict__) == (type(error), str(error), error.__dict__)


@pytest.mark.parametrize("code", [0, 99, 2000, -1])
def test_codes_out_of_range_are_refused(code: int) -> None:
    with pytest.raises(ValueError, match="100 to 1999"):
        CentrifugeError(code)
    with pytest.raises(ValueError, match="3000 to 4999"):
        CentrifugeDisconnect(code)


@pytest.mark.parametrize("code", ["103", 103.0, True, None])
def test_codes_are_whole_numbers(code: Any) -> None:
    with pytest.raises(TypeError, match="is an int"):
        CentrifugeError(code)
    with pytest.raises(TypeError, match="is an int"):
        CentrifugeDisconnect(code)


def test_messages_are_text() -> None:
    wrong: Any = b"no"
    with pytest.raises(TypeError, match="message of a CentrifugeError is a str"):
        CentrifugeError(400, wrong)
    with pytest.raises(TypeError, match="str"):
        CentrifugeDisconnect(4000, wrong)


def test_codes_that_are_known_can_be_sent() -> None:
    assert all(may_be_sent(code) and len(reason) <= MAX_REASON for code, reason in DISCONNECTS.items())
    assert all(100 <= code < 400 for code in ERRORS)
    assert all(2000 <= code < 3000 for code in UNSUBSCRIBES)
