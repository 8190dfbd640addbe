"""Alerts on forecasts that exceed a contracted power limit."""

from datetime import UTC, datetime
from math import erf, sqrt
from typing import Final
from zoneinfo import ZoneInfo

import numpy as np

from core.alerting.messages import alert_id
from core.issued_forecast import IssuedForecast
from schemas.alerts import Alert, AlertModel, Signal
from schemas.rounding import in_words
from schemas.scores import FLAG_AT

KIND: Final = "forecast_breach"
_NORMAL_90: Final = 1.2815515655446004  # 90 % quantile of the standard normal distribution, as of the upper bound


def probability_above(limit: float, value: float, upper: float) -> float:
    """Return the probability that an hour exceeds a limit; `upper` is the 90 % quantile."""
    deviation = (upper - value) / _NORMAL_90
    if deviation <= 0:
        return float(value > limit)
    return 0.5 * (1 - erf((limit - value) / deviation / sqrt(2)))


def breach_alert(
    course: IssuedForecast, *, limit: float, plant_name: str, timezone: str, model: AlertModel, known: Alert | None
) -> Alert | None:
    """Return the alert on a plant's forecast, hourly mean power in kW; None if nothing changed.

    An alert opens when an upper bound exceeds the limit, is updated by each further forecast that does, and resolved by
    the first that does not. limit: kW. known: the plant's newest alert of this kind.
    """
    at = datetime.fromtimestamp(course.origin * 3600, UTC)
    open_one = known if known is not None and known.state != "resolved" else None
    above = np.flatnonzero(course.upper > limit)
    if not len(above):
        if open_one is None:
            return None
        return open_one.model_copy(update={"state": "resolved", "updated_at": at, "resolved_at": at})
    likely = [probability_above(limit, course.value[step], course.upper[step]) for step in above]
    place = int(np.argmax(likely))
    step, probability = int(above[place]), min(1.0, likely[place])
    when = datetime.fromtimestamp((course.origin + step) * 3600, UTC)
    local = when.astimezone(ZoneInfo(timezone))
    opened_at = at if open_one is None else open_one.opened_at
    return Alert(
        alert_id=alert_id(plant_name, KIND, opened_at),
        machine_id=plant_name,
        kind=KIND,
        severity="critical" if course.value[step] > limit else "warning",
        state="opened" if open_one is None else "updated",
        opened_at=opened_at,
        updated_at=at,
        peak_score=probability if open_one is None else max(probability, open_one.peak_score),
        threshold=FLAG_AT,
        readings=0,
        signals=(
            Signal(
                sensor="power",
                actual=float(course.value[step]),
                expected=limit,
                deviation=None,
                contribution=1.0,
            ),
        ),
        summary=(
            f"{plant_name}: {in_words(course.value[step])} kW are forecast for {local:%Y-%m-%d %H:%M %Z}, up to "
            f"{in_words(course.upper[step])} kW, against a limit of {in_words(limit)} kW; "
            f"probability {probability:.0%}."
        ),
        model=model,
        confidence=probability,
    )
