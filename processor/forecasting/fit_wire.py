"""Serialisation of the requests and answers of fits, for the pipe to the child process."""

from datetime import UTC, datetime
from typing import Any, Final

import msgspec
import numpy as np

from core.forecasting.engine import KnownInputs
from core.forecasting.fit import FitRequest, Fitted, fit
from runtime.errors import FailureError
from runtime.forecasting.calendars import holidays_of
from runtime.forecasting.candidates import candidates_of

CANDIDATES_SETTING: Final = "NEXOVA_FORECASTS__CANDIDATES"


class FitFailed(FailureError):
    """A fit raised an exception, or its process died."""


def packed(request: FitRequest) -> bytes:
    """Return a request as bytes for the pipe."""
    document = {name: getattr(request, name) for name in FitRequest.__slots__}
    document["values"] = request.values.astype(np.float64).tobytes()
    document["cold_start"] = None if request.cold_start is None else request.cold_start.tobytes()
    if request.inputs is not None:
        inputs = request.inputs
        shape, values = inputs.values.shape, inputs.values.astype(np.float64).tobytes()
        document["inputs"] = (inputs.names, inputs.first_hour, shape, values)
    return msgspec.msgpack.encode(document)


def answer(message: bytes) -> bytes:
    """Return the packed answer to a packed request; an exception becomes its text."""
    document: dict[str, Any] = msgspec.msgpack.decode(message)
    document["values"] = np.frombuffer(document["values"], np.float64)
    if document["cold_start"] is not None:
        document["cold_start"] = np.frombuffer(document["cold_start"], np.float64)
    if document["inputs"] is not None:
        names, first_hour, shape, values = document["inputs"]
        rows = np.frombuffer(values, np.float64).reshape(shape)
        document["inputs"] = KnownInputs(names=tuple(names), first_hour=first_hour, values=rows)
    document["bounds"], document["candidates"] = tuple(document["bounds"]), tuple(document["candidates"])
    try:
        request = FitRequest(**document)
        candidates = candidates_of(request.candidates, asked_by=CANDIDATES_SETTING)
        fitted = fit(request, holidays=region_holidays(request), candidates=candidates)
    except Exception as error:  # noqa: BLE001  any error is reported to the parent
        return msgspec.msgpack.encode({"failed": f"{type(error).__name__}: {error}"})
    found = {name: getattr(fitted, name) for name in Fitted.__slots__}
    arrays = {name: value.tobytes() for name, value in found.items() if isinstance(value, np.ndarray)}
    return msgspec.msgpack.encode(found | arrays)


def region_holidays(request: FitRequest) -> frozenset[int]:
    """Return the holidays of the request's region, as days since the epoch, in all years of its history and horizon."""
    if request.region is None:
        return frozenset()
    ends = (request.first_hour, request.first_hour + len(request.values) + request.horizon)
    first, last = (datetime.fromtimestamp(hour * 3600, UTC).year for hour in ends)
    return holidays_of(request.region, first, last)


def unpacked(reply: bytes) -> Fitted:
    """Return the fit in a packed answer.

    Raises:
        FitFailed: the fit raised an exception.
    """
    document: dict[str, Any] = msgspec.msgpack.decode(reply)
    if "failed" in document:
        raise FitFailed(f"a fit failed with {document['failed']}")
    for name in ("value", "lower", "upper", "median"):
        document[name] = np.frombuffer(document[name], np.float64)
    return Fitted(**document)
