"""Shutdown of a failed worker: the first cause is logged last, and the process ends within a time limit."""

import logging
import os
import threading
from collections.abc import Callable
from typing import Final

from processor.deadline import STOP_SECONDS
from runtime.errors import NexovaError
from runtime.logging import CHATTY

LOGGER: Final = logging.getLogger("nexova.processor")
GRACE_SECONDS: Final = STOP_SECONDS


class Ending:
    """Cause of a worker's failure, and the time limit of its shutdown.

    A worker that fails gives up its partitions and stops its parts, and some of them wait for a broker. After
    `grace_seconds` it ends without them. exit_now: ends the process with an exit code.
    """

    def __init__(self, *, grace_seconds: float = GRACE_SECONDS, exit_now: Callable[[int], None] = os._exit) -> None:
        self._grace_seconds = grace_seconds
        self._exit_now = exit_now
        self._cause: BaseException | None = None

    @property
    def begun(self) -> bool:
        """Whether a failure has been recorded."""
        return self._cause is not None

    def begin(self, cause: BaseException) -> bool:
        """Log a failure; return whether it is the first one, which starts the shutdown."""
        # a traceback is useful only for an unexpected failure
        LOGGER.error(
            "the worker cannot continue: %s",
            _sentence(cause),
            exc_info=None if isinstance(cause, NexovaError) else cause,
        )
        if self._cause is not None:
            return False
        self._cause = cause
        # messages of libraries during the shutdown are consequences, and would hide the cause
        for name in CHATTY:
            logging.getLogger(name).setLevel(logging.CRITICAL + 1)
        timer = threading.Timer(self._grace_seconds, self._end)
        timer.daemon = True
        timer.start()
        return True

    def report(self) -> bool:
        """Log the cause as the last line; return whether there is one."""
        if self._cause is None:
            return False
        LOGGER.critical("the worker ended: %s", _sentence(self._cause))
        return True

    def _end(self) -> None:
        self.report()
        logging.shutdown()
        self._exit_now(1)


def _sentence(cause: BaseException) -> str:
    return cause.message if isinstance(cause, NexovaError) else f"{type(cause).__name__}: {cause}"
