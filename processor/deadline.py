"""The end of a worker that was asked to stop, whatever the broker does.

Its last checkpoint may wait for a broker that is gone, and so may Faust and the clients' threads. All that is saved is
saved by then; what is not is read again by the next owner.
"""

import logging
import os
import threading
from typing import Final

LOGGER: Final = logging.getLogger("nexova.processor")
STOP_SECONDS: Final = 8.0
"""Seconds after the request to stop in which the process ends."""


def end_within(seconds: float = STOP_SECONDS) -> None:
    """End the process after so many seconds, unless it has ended by itself by then."""
    timer = threading.Timer(seconds, _end, args=(seconds,))
    timer.daemon = True
    timer.start()


def _end(seconds: float) -> None:
    LOGGER.warning("not stopped within %g s, as the broker does not answer: ending; nothing saved is lost", seconds)
    logging.shutdown()
    os._exit(0)
