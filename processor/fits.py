"""Fits in processes of their own, beside the event loop, which can be ended when one takes too long."""

import asyncio
import multiprocessing
import time
from datetime import UTC, datetime
from multiprocessing.connection import Connection
from typing import Any, Final

import msgspec
import numpy as np

from core.forecast_fit import FitRequest, Fitted, fit
from processor.fit_child import serve
from runtime.calendars import holidays_of
from runtime.challengers import challengers_of
from runtime.errors import FailureError

CANDIDATES_SETTING: Final = "NEXOVA_FORECASTS__CANDIDATES"
_START_SECONDS: Final = 120.0
_END_SECONDS: Final = 1.0


class FitTooSlow(FailureError):
    """A fit was not done in time and was ended."""


class FitFailed(FailureError):
    """A fit raised, or its process died."""


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


def packed(request: FitRequest) -> bytes:
    """A request as bytes for the pipe."""
    document = {name: getattr(request, name) for name in FitRequest.__slots__}
    document["values"] = request.values.astype(np.float64).tobytes()
    document["cold_start"] = None if request.cold_start is None else request.cold_start.tobytes()
    return msgspec.msgpack.encode(document)


def answer(message: bytes) -> bytes:
    """The answer to a packed request; what raised comes back in words."""
    document: dict[str, Any] = msgspec.msgpack.decode(message)
    document["values"] = np.frombuffer(document["values"], np.float64)
    if document["cold_start"] is not None:
        document["cold_start"] = np.frombuffer(document["cold_start"], np.float64)
    document["bounds"], document["candidates"] = tuple(document["bounds"]), tuple(document["candidates"])
    try:
        request = FitRequest(**document)
        challengers = challengers_of(request.candidates, asked_by=CANDIDATES_SETTING)
        fitted = fit(request, holidays=_holidays(request), challengers=challengers)
    except Exception as error:  # noqa: BLE001  whatever it is, the parent is to hear of it
        return msgspec.msgpack.encode({"failed": f"{type(error).__name__}: {error}"})
    found = {name: getattr(fitted, name) for name in Fitted.__slots__}
    arrays = {name: value.tobytes() for name, value in found.items() if isinstance(value, np.ndarray)}
    return msgspec.msgpack.encode(found | arrays)


def _holidays(request: FitRequest) -> frozenset[int]:
    """Holidays of the request's region, from the year of its first hour to that of the last it asks for."""
    if request.region is None:
        return frozenset()
    ends = (request.first_hour, request.first_hour + len(request.values) + request.horizon)
    first, last = (datetime.fromtimestamp(hour * 3600, UTC).year for hour in ends)
    return holidays_of(request.region, first, last)


def unpacked(reply: bytes) -> Fitted:
    """The inverse of `answer`.

    Raises:
        FitFailed: the fit raised.
    """
    document: dict[str, Any] = msgspec.msgpack.decode(reply)
    if "failed" in document:
        raise FitFailed(f"a fit failed with {document['failed']}")
    for name in ("value", "lower", "upper"):
        document[name] = np.frombuffer(document[name], np.float64)
    return Fitted(**document)
