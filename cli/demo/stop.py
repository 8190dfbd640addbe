"""How a demo run is told to stop: Ctrl-C, SIGTERM, or the terminal going away."""

import logging
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import FrameType
from typing import Final

SIGNALS: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_BY_SIGNAL: Final = 128


class Stopped(BaseException):
    """Somebody asked us to stop; like KeyboardInterrupt it is no error, so nothing may catch it by accident."""

    def __init__(self, number: int) -> None:
        super().__init__(signal.Signals(number).name)
        self.exit_code = _BY_SIGNAL + number


@dataclass(slots=True)
class Stops:
    """Whether Ctrl-C is the end that was asked for (`expected`), and whether it came (`asked`)."""

    expected: bool = False
    asked: bool = False


def hush() -> None:
    """To be called before our own broker goes away: that its clients notice is no news."""
    logging.getLogger("nexova").setLevel(logging.ERROR)


@contextmanager
def stopping() -> Iterator[Stops]:
    """While the block runs, the first signal raises `Stopped` in it, and later ones cannot disturb the tidying up.

    Where Ctrl-C is expected it is noted instead, so that the run can end in good order; a second one stops it.
    """
    stops = Stops()

    def handle(number: int, _: FrameType | None) -> None:
        if number == signal.SIGINT and stops.expected and not stops.asked:
            stops.asked = True
            return
        for other in SIGNALS:
            signal.signal(other, signal.SIG_IGN)
        hush()
        raise Stopped(number)

    before = {number: signal.signal(number, handle) for number in SIGNALS}
    try:
        yield stops
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
