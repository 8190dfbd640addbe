"""Messages of forecasts that were recorded once stay as they are, from the first hours of a series to its fits.

`recorded_forecasts.xz`: for each series its hours (kWh, null where missing), how many were known before the first
forecast, and the messages issued at four of the next 30 hours.
"""

import json
import lzma
from pathlib import Path
from typing import Any, Final

import numpy as np
import pytest

from core.arrays import WEEK
from core.forecasting.fit import FitRequest, fit
from core.forecasting.messages import backtest_of, forecast_message, issued_forecast, track_record
from core.forecasting.series_state import SeriesTable
from tests.builders import PUMP, a_plant, a_sensor

RECORDED: Final = json.loads(lzma.decompress(Path(__file__).with_name("recorded_forecasts.xz").read_bytes()))
POWER: Final = a_sensor("power", unit="kW", minimum=0.0, maximum=400.0, role="power")
PLANT: Final = a_plant(sensors=[POWER], energy={"tariff": {"price": 0.5}})
FIRST: Final = 490_032
BOUNDS: Final = (0.0, 400.0)
ISSUED_AT: Final = (0, 1, 27, 29)


def messages_of(case: dict[str, Any]) -> list[dict[str, Any]]:
    values = np.array([np.nan if value is None else value for value in case["values"]])
    table, found = SeriesTable(13 * WEEK), []
    known = 0
    for step in ISSUED_AT:
        for hour in range(known, case["warm"] + step):
            table.record_measured(PUMP, FIRST + hour, values[hour], at=0.0)
        known = case["warm"] + step
        state = table.of(PUMP)
        request = FitRequest(
            first_hour=state.history.first_hour,
            values=state.history.values.astype(np.float64),
            horizon=72,
            zone="Europe/Berlin",
            region=None,
            bounds=BOUNDS,
            memory=state.memory,
            cold_start=np.arange(168.0) if case["name"] == "young" else None,
        )
        fitted = fit(request)
        issued = issued_forecast(fitted, fallback=None, origin=state.history.end)
        message = forecast_message(
            PUMP,
            issued,
            plant=PLANT,
            track=track_record(state.accuracy, days=7),
            trained=(state.history.first_hour, state.history.end),
            backtest=backtest_of(fitted),
        )
        state.accuracy.issue(
            issued.origin,
            value=issued.value,
            lower=issued.lower,
            upper=issued.upper,
            champion=fitted.value,
            median=fitted.median,
        )
        table.issue(PUMP, issued.origin, (), memory=fitted.memory)
        found.append(json.loads(message.encode()))
    return found


def assert_same(found: Any, recorded: Any, *, exact: bool) -> None:
    """Compare documents: the same fields in the same order; numbers of a linear fit to the precision of its solver."""
    if isinstance(recorded, dict):
        assert list(found) == list(recorded)
        for name, value in recorded.items():
            assert_same(found[name], value, exact=exact)
    elif isinstance(recorded, list):
        assert len(found) == len(recorded)
        for one, other in zip(found, recorded, strict=True):
            assert_same(one, other, exact=exact)
    elif isinstance(recorded, float):
        # the record has four decimals, a message six significant digits
        assert found == pytest.approx(recorded, rel=5.1e-6 if exact else 1e-4, abs=1.01e-4 if exact else 2e-4)
    else:
        assert found == recorded


@pytest.mark.parametrize("case", RECORDED, ids=lambda case: str(case["name"]))
def test_recorded_forecasts_are_unchanged(case: dict[str, Any]) -> None:
    for found, recorded in zip(messages_of(case), case["messages"], strict=True):
        assert_same(found, recorded, exact=case["name"] != "linear")
