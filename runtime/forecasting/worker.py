"""Forecasts in a process of their own, which can be ended when one takes too long.

The child and its parent speak JSON over a pipe: one request, one answer. A child that died is replaced at the next
request.
"""

import contextlib
import json
import multiprocessing
import signal
import threading
from datetime import datetime
from multiprocessing.connection import Connection
from typing import Any, Final

import msgspec

from runtime.errors import FailureError, UsageError
from runtime.forecasting.answers import ForecastAnswer, forecast

_END_SECONDS: Final = 2.0


class ForecastTooSlow(FailureError):
    """A forecast was not done in time and was ended."""


class ForecastChild:
    """One child, started at the first request or by `start`; requests of several threads follow each other."""

    def __init__(self) -> None:
        self._one = threading.Lock()
        self._process: Any = None
        self._pipe: Connection | None = None
        self._closed = False

    def start(self) -> None:
        """Starts the child, so that the first request need not wait for it."""
        with self._one:
            self._living()

    def forecast(self, request: dict[str, Any], *, seconds: float) -> ForecastAnswer:
        """The answer to the arguments of `runtime.forecasting.answers.forecast`, `start` as RFC 3339.

        Raises:
            UsageError: as there.
            ForecastTooSlow: there was no answer within `seconds`; the child was ended.
            FailureError: the child died.
        """
        with self._one:
            pipe = self._living()
            try:
                pipe.send_bytes(json.dumps(request).encode())
                if not pipe.poll(seconds):
                    self._end()
                    raise ForecastTooSlow(
                        f"a forecast of {len(request['values'])} points was not done within {seconds:g} s; send fewer "
                        "points, or ask for model seasonal_median"
                    )
                answer = json.loads(pipe.recv_bytes())
            except (EOFError, OSError) as error:
                self._end()
                raise FailureError("the forecasting process ended by itself; try again") from error
        if "refused" in answer:
            raise UsageError(answer["refused"])
        return msgspec.convert(answer, ForecastAnswer)

    def close(self) -> None:
        """Ends the child for good, whatever it is at; whoever waits for its answer gets a FailureError."""
        self._closed = True
        process = self._process
        if process is not None:
            with contextlib.suppress(ValueError):  # it has ended and was tidied up meanwhile
                process.terminate()
        with self._one:
            self._end()

    def _living(self) -> Connection:
        if self._closed:
            raise FailureError("the service ends; ask again in a moment")
        if self._pipe is not None and self._process.is_alive():
            return self._pipe
        self._end()
        # spawned, not forked: this process has threads
        context = multiprocessing.get_context("spawn")
        ours, theirs = context.Pipe()
        self._process = context.Process(target=_serve, args=(theirs,), name="forecasts", daemon=True)
        self._process.start()
        theirs.close()
        self._pipe = ours
        return ours

    def _end(self) -> None:
        if self._pipe is not None:
            self._pipe.close()
            self._pipe = None
        if self._process is not None:
            self._process.terminate()
            self._process.join(_END_SECONDS)
            if self._process.is_alive():
                self._process.kill()
                self._process.join(_END_SECONDS)
            self._process.close()
            self._process = None


def _serve(pipe: Connection) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole group; our parent ends us
    with contextlib.suppress(EOFError, OSError):
        while True:
            request = json.loads(pipe.recv_bytes())
            start = request.pop("start", None)
            try:
                found = forecast(**request, start=None if start is None else datetime.fromisoformat(start))
            except UsageError as error:
                answer: dict[str, Any] = {"refused": error.message}
            else:
                answer = {name: getattr(found, name) for name in ForecastAnswer.__slots__}
            pipe.send_bytes(json.dumps(answer).encode())
