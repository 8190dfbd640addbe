"""Forecasts of callers' series in a child process with a time limit; requests and answers are JSON."""

import json
from datetime import datetime
from typing import Any

import msgspec

from runtime.child_worker import ChildTooSlow, ChildWorker
from runtime.errors import FailureError, UsageError
from runtime.forecasting.answers import ForecastAnswer, forecast


class ForecastTooSlow(FailureError):
    """A forecast exceeded its time limit and was stopped."""


class ForecastChild:
    """One child process for forecasts, started at the first request or by `start`."""

    def __init__(self) -> None:
        self._worker = ChildWorker(f"{__name__}:answer", name="forecasts")

    def start(self) -> None:
        """Start the child, so that the first request need not wait for it."""
        self._worker.start()

    def forecast(self, request: dict[str, Any], *, seconds: float) -> ForecastAnswer:
        """Return the answer to the arguments of `runtime.forecasting.answers.forecast`, `start` as RFC 3339.

        Raises:
            UsageError: as there.
            ForecastTooSlow: there was no answer within `seconds`; the child was ended.
            ChildEnded: the child crashed or was closed.
        """
        try:
            reply, _ = self._worker.ask(json.dumps(request).encode(), seconds=seconds)
        except ChildTooSlow as error:
            raise ForecastTooSlow(
                f"a forecast of {len(request['values'])} points was not done within {seconds:g} s; send fewer "
                "points, or ask for model seasonal_median"
            ) from error
        document = json.loads(reply)
        if "refused" in document:
            raise UsageError(document["refused"])
        return msgspec.convert(document, ForecastAnswer)

    def close(self) -> None:
        """End the child for good; a request that waits for it raises ChildEnded."""
        self._worker.close()


def answer(message: bytes) -> bytes:
    """Return the answer to a request, or the reason of its refusal, as JSON; runs in the child."""
    request = json.loads(message)
    start = request.pop("start", None)
    try:
        found = forecast(**request, start=None if start is None else datetime.fromisoformat(start))
    except UsageError as error:
        return json.dumps({"refused": error.message}).encode()
    return json.dumps({name: getattr(found, name) for name in ForecastAnswer.__slots__}).encode()
