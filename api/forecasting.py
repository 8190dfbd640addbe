"""Forecasts for callers, computed once in a child process and cached."""

import asyncio
import hashlib
import time
from collections import OrderedDict
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final

import msgspec

from api.problems import Problem
from runtime.errors import FailureError, UsageError
from runtime.forecasting.answers import ForecastAnswer
from runtime.forecasting.worker import ForecastChild
from runtime.metrics import ApiMetrics

_MOST_KEPT: Final = 512
_MOST_WAITING: Final = 64


class ForecastDesk:
    """Cache in front of the forecasting process; simultaneous equal requests are computed once.

    keep_seconds: lifetime of an answer in the cache. answer_seconds: time limit of a computation.
    """

    def __init__(
        self,
        *,
        keep_seconds: float,
        answer_seconds: float,
        metrics: ApiMetrics,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._keep_seconds = keep_seconds
        self._answer_seconds = answer_seconds
        self._metrics = metrics
        self._clock = clock
        self._kept: OrderedDict[bytes, tuple[float, ForecastAnswer]] = OrderedDict()
        self._running: dict[bytes, asyncio.Task[ForecastAnswer]] = {}
        self._child = ForecastChild()
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="forecasts")

    def start(self) -> None:
        """Start the process without waiting for it."""
        self._pool.submit(self._child.start)

    def close(self) -> None:
        """End the process."""
        self._child.close()
        self._pool.shutdown(wait=True, cancel_futures=True)

    async def ask(self, request: dict[str, Any]) -> ForecastAnswer:
        """Return the answer to arguments of `runtime.forecasting.answers.forecast`, as JSON types; raises a Problem."""
        key = hashlib.sha256(msgspec.json.encode(request)).digest()
        kept = self._kept.get(key)
        if kept is not None and self._clock() - kept[0] < self._keep_seconds:
            self._metrics.forecasts.labels(source="cache").inc()
            return kept[1]
        task = self._running.get(key)
        if task is None:
            if len(self._running) >= _MOST_WAITING:
                raise Problem(
                    503,
                    "too-busy",
                    f"{len(self._running)} forecasts are waiting already; try again in a moment",
                    headers={"Retry-After": "2"},
                )
            task = self._running[key] = asyncio.create_task(self._compute(key, request))
            task.add_done_callback(_retrieve_error)
        # a cancelled caller does not cancel the computation for the others
        return await asyncio.shield(task)

    async def _compute(self, key: bytes, request: dict[str, Any]) -> ForecastAnswer:
        loop = asyncio.get_running_loop()
        try:
            answer = await loop.run_in_executor(
                self._pool, lambda: self._child.forecast(request, seconds=self._answer_seconds)
            )
        except UsageError as error:
            raise Problem(422, "bad-input", error.message) from None
        except FailureError as error:
            raise Problem(503, "forecast-failed", error.message) from None
        finally:
            self._running.pop(key, None)
        self._metrics.forecasts.labels(source="computed").inc()
        self._kept[key] = (self._clock(), answer)
        self._kept.move_to_end(key)
        while len(self._kept) > _MOST_KEPT:
            self._kept.popitem(last=False)
        return answer


def _retrieve_error(task: asyncio.Task[ForecastAnswer]) -> None:
    """Retrieve an error that no caller waits for, so that asyncio does not log it."""
    if not task.cancelled():
        task.exception()
