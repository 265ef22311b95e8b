"""Decides which failures are tried again, and when: the default, a function of the user's, and Retry-After."""

from __future__ import annotations

import ssl
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from inspect import isawaitable
from math import isfinite
from re import compile as pattern
from typing import TypeAlias

from wsframe.http.client_handshake import HandshakeFailed, HandshakeRejected
from wsframe.http.request import Headers
from wsframe.outgoing.exceptions import ProxyFailed

__all__ = ["Retry", "asked", "is_odd", "may_succeed_later", "retry_after", "status_may_pass"]

Retry: TypeAlias = Callable[[Exception], bool | float | Awaitable[bool | float]]
"""Decides from an exception of :func:`connect` whether to try again: True, False, or after how many seconds."""

# Answers that refuse this request, as it is, whenever it comes.
FINAL = frozenset(
    {400, 401, 402, 403, 405, 406, 407, 410, 411, 412, 413, 414, 415, 416, 417, 422, 424, 426, 428, 431, 451, 501, 505}
)
# Answers below 500 of a server that is busy.
BUSY = frozenset({408, 425, 429})


def status_may_pass(status: int) -> bool:
    """Return whether another try may bring another status."""
    return status not in FINAL


def may_succeed_later(error: Exception) -> bool:
    """Return whether a failure may pass when the connection is tried again; the rule of :func:`connect_forever`.

    It may pass after trouble with the network, including names that cannot be resolved and
    timeouts, and after any status of the server or of a proxy, except those that refuse this
    request whenever it comes: 400, 401, 402, 403, 405, 406, 407, 410 to 417, 422,
    424, 426, 428, 431, 451, 501 and 505. So it may pass after 404 and 200, which servers answer
    while they are deployed, and captive portals before somebody has logged in; a wrong path gives
    the same statuses, so the log line is a warning then. It does not pass after a certificate that is not
    trusted, a 101 that breaks the rules, or an answer that is not HTTP.
    """
    if isinstance(error, HandshakeRejected):
        return status_may_pass(error.status)
    if isinstance(error, ProxyFailed):
        return error.temporary
    return isinstance(error, OSError) and not isinstance(error, ssl.SSLCertVerificationError)


def is_odd(error: Exception) -> bool:
    """Return whether somebody should look at a failure, though the connection is tried again."""
    if isinstance(error, HandshakeRejected | ProxyFailed):
        return error.status is not None and error.status < 500 and error.status not in BUSY
    return isinstance(error, HandshakeFailed | ssl.SSLCertVerificationError)


async def asked(retry: Retry, error: Exception) -> bool | float:
    """Ask the user's function.

    Raises:
        TypeError: For anything but True, False or a number.
        ValueError: For a number that is negative or not finite.
    """
    answer: object = retry(error)
    if isawaitable(answer):
        answer = await answer
    if not isinstance(answer, bool | int | float):
        expected = "True, False or the seconds until the next try"
        raise TypeError(f"retry returned {answer!r} for {error!r}; expected {expected}")
    if not (isfinite(answer) and answer >= 0):
        raise ValueError(f"retry returned {answer!r} seconds for {error!r}; expected a finite number from 0 on")
    return answer


def retry_after(error: Exception) -> float:
    """Return the seconds that a server asks for (RFC 9110 section 10.2.3); 0 without a valid one.

    A date counts from the Date of the answer if there is one: our clock need not be right.
    """
    if not isinstance(error, HandshakeRejected):
        return 0
    values = error.headers.getall("retry-after")
    return max((seconds_of(value, error.headers) for value in values), default=0)


def seconds_of(value: str, headers: Headers) -> float:
    if value.isascii() and value.isdigit():
        return float(value)
    until = http_date(value)
    if until is None:
        return 0
    now = http_date(headers.get("date", ""))
    return max(0, until - (time.time() if now is None else now))


MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
MONTH = f"(?P<month>{'|'.join(MONTHS)})"
TIME = "(?P<hour>[0-9]{2}):(?P<minute>[0-9]{2}):(?P<second>[0-9]{2})"
# RFC 9110 section 5.6.7: the form of today, the form of RFC 850, and the form of C's asctime.
DATES = (
    pattern(f"(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun), (?P<day>[0-9]{{2}}) {MONTH} (?P<year>[0-9]{{4}}) {TIME} GMT"),
    pattern(f"(?:Mon|Tues|Wednes|Thurs|Fri|Satur|Sun)day, (?P<day>[0-9]{{2}})-{MONTH}-(?P<year>[0-9]{{2}}) {TIME} GMT"),
    pattern(f"(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun) {MONTH} (?P<day>[0-9 ][0-9]) {TIME} (?P<year>[0-9]{{4}})"),
)


def http_date(value: str) -> float | None:
    """Return a date of HTTP as seconds since 1970; None if it is not one."""
    found = next((match for form in DATES if (match := form.fullmatch(value))), None)
    if found is None:
        return None
    year = int(found["year"])
    if len(found["year"]) == 2:  # a date more than 50 years in the future means the past (RFC 9110)
        this = datetime.now(UTC).year
        year += this - this % 100
        year -= 100 * (year > this + 50)
    second = min(int(found["second"]), 59)  # 60 in a leap second
    month, day = MONTHS.index(found["month"]) + 1, int(found["day"])
    try:
        return datetime(year, month, day, int(found["hour"]), int(found["minute"]), second, tzinfo=UTC).timestamp()
    except ValueError:  # the 31st of February
        return None
