"""Fits in processes of their own, beside the event loop, which can be ended when one takes too long."""

import asyncio
import multiprocessing
import time
from multiprocessing.connection import Connection
from typing import Any, Final

from core.forecasting.fit import FitRequest, Fitted
from processor.forecasting.fit_process import serve
from processor.forecasting.fit_wire import FitFailed, packed, unpacked
from runtime.errors import FailureError

_START_SECONDS: Final = 120.0
_END_SECONDS: Final = 1.0


class FitTooSlow(FailureError):
    """A fit was not done in time and was ended."""


class FitProcess:
    """One process for fits, one at a time; started at the first and again after a death."""

    def __init__(self, *, niceness: int) -> None:
        self._niceness = niceness
        self._process: Any = None
        self._pipe: Connection | None = None
        self._closed = False

    async def fit(self, request: FitRequest, *, seconds: float) -> tuple[Fitted, float]:
        """The answer to a request, and the seconds it took, without the start of the process.

        Raises:
            FitTooSlow: it was not there within `seconds`.
            FitFailed: the fit raised, or the process died.
        """
        return await asyncio.to_thread(self._fit, request, seconds)

    def _fit(self, request: FitRequest, seconds: float) -> tuple[Fitted, float]:
        try:
            pipe = self._living()
            started = time.perf_counter()
            pipe.send_bytes(packed(request))
            if not pipe.poll(seconds):
                self._end()
                raise FitTooSlow(f"a fit took longer than {seconds:g} s; raise NEXOVA_FORECASTS__FIT_SECONDS")
            return unpacked(pipe.recv_bytes()), time.perf_counter() - started
        except (EOFError, OSError) as error:
            self._end()
            raise FitFailed(f"the process that fits forecasts ended by itself ({error}); see its last words") from error

    def close(self) -> None:
        """Ends the process, whatever it does."""
        self._closed = True
        self._end()

    def _living(self) -> Connection:
        if self._closed:
            raise FitFailed("no fits any more: the worker is ending")
        if self._pipe is not None and self._process.is_alive():
            return self._pipe
        self._end()
        # spawned, not forked: this process has threads
        context = multiprocessing.get_context("spawn")
        ours, theirs = context.Pipe()
        self._process = context.Process(target=serve, args=(theirs, self._niceness), name="fits", daemon=True)
        self._process.start()
        theirs.close()
        self._pipe = ours
        if self._closed:
            self._end()
            raise FitFailed("no fits any more: the worker is ending")
        if not ours.poll(_START_SECONDS):
            self._end()
            raise FitFailed(f"the process that fits forecasts was not ready in {_START_SECONDS:g} s")
        ours.recv_bytes()
        return ours

    def _end(self) -> None:
        pipe, process = self._pipe, self._process
        self._pipe = self._process = None
        if process is not None:
            process.kill()
            process.join(_END_SECONDS)
        if pipe is not None:
            pipe.close()
