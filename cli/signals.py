"""Signals that ask a command to end."""

import signal
import threading
from collections.abc import Callable


def until_signal() -> Callable[[], bool]:
    """Handle SIGTERM and SIGINT from now on; return a function that returns whether one of them arrived."""
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    return stop.is_set
