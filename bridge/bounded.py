"""A time limit for calls of the Kafka client: after a broker's restart some never return, whatever their own limit."""

import queue
import threading
from collections.abc import Callable


class CallTimedOut(Exception):
    """A call did not return in time; its thread still runs, so its client must not be used again."""


def call_within(seconds: float, call: Callable[[], None]) -> None:
    """Run `call` in a thread of its own and wait for it, `seconds` at most; its exceptions are raised here.

    Raises:
        CallTimedOut: it has not returned within `seconds`.
    """
    outcome: queue.Queue[BaseException | None] = queue.Queue(1)

    def run() -> None:
        try:
            call()
        except BaseException as failure:  # noqa: BLE001  raised again by the waiting thread
            outcome.put(failure)
        else:
            outcome.put(None)

    threading.Thread(target=run, name="transaction", daemon=True).start()
    try:
        failure = outcome.get(timeout=seconds)
    except queue.Empty:
        raise CallTimedOut(f"the client did not return within {seconds:g} s") from None
    if failure is not None:
        raise failure
