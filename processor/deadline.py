"""Time limit for the stop of a worker, independent of the broker.

The last checkpoint, Faust and the clients' threads may wait for an unreachable broker. Readings that are not
saved by then are read again by the next owner.
"""

import logging
import os
import threading
from typing import Final

LOGGER: Final = logging.getLogger("nexova.processor")
STOP_SECONDS: Final = 8.0
"""Seconds after the request to stop within which the process ends."""


def end_within(seconds: float = STOP_SECONDS) -> None:
    """End the process after this many seconds, unless it has ended before."""
    timer = threading.Timer(seconds, _end, args=(seconds,))
    timer.daemon = True
    timer.start()


def _end(seconds: float) -> None:
    LOGGER.warning("not stopped within %g s, as the broker does not answer: ending; nothing saved is lost", seconds)
    logging.shutdown()
    os._exit(0)
