"""A signal that the kernel sends later."""

import signal
import sys

import pytest

from wsframe.server.kernel_timer import send_later


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere there is no such timer")
def test_the_signal_comes_and_can_be_called_off() -> None:
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGUSR1})
    try:
        send_later(signal.SIGUSR1, 1)()
        call_off = send_later(signal.SIGUSR1, 1)
        came = signal.sigtimedwait([signal.SIGUSR1], 60)
        call_off()
        again = signal.sigtimedwait([signal.SIGUSR1], 0)
    finally:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGUSR1})
    assert came is not None
    assert again is None, "the one that was called off"
