"""Signals that ask a command to end."""

import signal
import threading
from collections.abc import Callable


def until_signal() -> Callable[[], bool]:
    """Handle SIGTERM and SIGINT from now on; return the function that says whether one of them came."""
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    return stop.is_set
