"""Calls of the client that may never return: after a broker's restart some do not, whatever their own limit."""

import queue
import threading
from collections.abc import Callable


class Stuck(Exception):
    """A call did not return in time; what it works on is to be used no more."""


def bounded(work: Callable[[], None], *, seconds: float) -> None:
    """Do some work in a thread of its own, and raise what it raises.

    Raises:
        Stuck: it is not done within `seconds`; its thread is left behind.
    """
    outcome: queue.Queue[BaseException | None] = queue.Queue(1)

    def run() -> None:
        try:
            work()
        except BaseException as failure:  # noqa: BLE001  it is raised where it is waited for
            outcome.put(failure)
        else:
            outcome.put(None)

    threading.Thread(target=run, name="transaction", daemon=True).start()
    try:
        failure = outcome.get(timeout=seconds)
    except queue.Empty:
        raise Stuck(f"the client did not return within {seconds:g} s") from None
    if failure is not None:
        raise failure
