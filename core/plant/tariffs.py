"""Cost of energy by the hour of the plant's local time."""

from datetime import datetime
from zoneinfo import ZoneInfo

import numpy as np

from core.arrays import HOUR, Floats
from core.plant import Period, Tariff
from schemas.forecasts import Cost


def prices(tariff: Tariff, first_hour: int, count: int, zone: ZoneInfo) -> Floats:
    """Return the price of a kWh in each hour, (count,); first_hour: hours since the epoch, UTC."""
    moments = [datetime.fromtimestamp((first_hour + number) * HOUR, zone) for number in range(count)]
    return np.array([_price(tariff, moment) for moment in moments])


def cost_of(tariff: Tariff, first_hour: int, zone: ZoneInfo, *, value: Floats, lower: Floats, upper: Floats) -> Cost:
    """Return the cost of a forecast with its bounds; value, lower, upper: hourly energy in kWh, (h,) each."""
    price = prices(tariff, first_hour, len(value), zone)
    bounds = np.stack([price * lower, price * upper])
    # a negative price swaps the bounds
    return Cost(
        currency=tariff.currency,
        value=float((price * value).sum()),
        lower=float(bounds.min(axis=0).sum()),
        upper=float(bounds.max(axis=0).sum()),
    )


def _price(tariff: Tariff, moment: datetime) -> float:
    for period in tariff.periods:
        if _applies(period, moment):
            return period.price
    return tariff.price


def _applies(period: Period, moment: datetime) -> bool:
    if period.from_hour < period.to_hour:
        return moment.weekday() in period.weekdays and period.from_hour <= moment.hour < period.to_hour
    # overnight: the hours after midnight belong to the day before
    if moment.hour >= period.from_hour:
        return moment.weekday() in period.weekdays
    return moment.hour < period.to_hour and (moment.weekday() - 1) % 7 in period.weekdays
