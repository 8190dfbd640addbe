"""Fits in low-priority child processes, outside the event loop."""

import asyncio
from typing import Final

from core.forecasting.fit import FitRequest, Fitted
from processor.forecasting.fit_wire import FitFailed, packed, unpacked
from runtime.child_worker import ChildTooSlow, ChildWorker
from runtime.errors import ChildEnded, FailureError

_TARGET: Final = "processor.forecasting.fit_wire:answer"


class FitTooSlow(FailureError):
    """A fit was not done in time and was ended."""


class FitProcess:
    """One child process that runs fits one at a time; started with the first fit and after a crash."""

    def __init__(self, *, niceness: int) -> None:
        self._worker = ChildWorker(_TARGET, name="fits", niceness=niceness)

    @property
    def pid(self) -> int | None:
        """Process id of the running child; None without one."""
        return self._worker.pid

    async def start(self) -> None:
        """Start the child before the first fit."""
        await asyncio.to_thread(self._worker.start)

    async def fit(self, request: FitRequest, *, seconds: float) -> tuple[Fitted, float]:
        """Return the answer to a request, and the seconds it took, without the start of the process.

        Raises:
            FitTooSlow: there was no answer within `seconds`.
            FitFailed: the fit raised, or the process died.
        """
        return await asyncio.to_thread(self._fit, request, seconds)

    def _fit(self, request: FitRequest, seconds: float) -> tuple[Fitted, float]:
        try:
            reply, took = self._worker.ask(packed(request), seconds=seconds)
        except ChildTooSlow as error:
            raise FitTooSlow(f"a fit took longer than {seconds:g} s; raise NEXOVA_FORECASTS__FIT_SECONDS") from error
        except ChildEnded as error:
            raise FitFailed(error.message) from error
        return unpacked(reply), took

    def close(self) -> None:
        """End the process, even during a fit."""
        self._worker.close()
