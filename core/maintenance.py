"""Maintenance advice: risk bands with hysteresis, and their texts and reasons."""

from typing import Final, get_args

import numpy as np
from numba import njit

from core.arrays import Bools, Features, Floats, Ints
from core.models import LifetimeModel, Models
from core.plant import Sensor
from core.row_results import RowResults
from core.state.wear import Wear
from schemas.recommendations import Band, HoursToFailure, Reason
from schemas.rounding import in_words

BANDS: Final[tuple[Band, ...]] = get_args(Band)
BAND_STARTS: Final = (0.75, 1.75, 2.5)
"""Risk from which `watch`, `plan` and `urgent` begin: within about 7, 3 and 1 days of failure."""
ADVISE_AT: Final = BAND_STARTS[0]
"""Risk at which the first band above `none` begins."""
_HYSTERESIS: Final = 0.25
_SMOOTHING: Final = 0.1
_REPEAT_SECONDS: Final = 24 * 3600.0
_TEXT: Final[dict[Band, str]] = {
    "none": "{machine} shows no wear that calls for work.",
    "watch": "Watch {machine}: it wears; plan its next service within a week.",
    "plan": "Plan maintenance of {machine} within three days.",
    "urgent": "Stop {machine} for maintenance within a day.",
}


def risks(rows: RowResults, models: Models) -> Floats:
    """Return the risks in [0, 3], (n,); NaN where a reading gives none."""
    risk = np.full(len(rows.risky), np.nan)
    if models.maintenance is not None and rows.risky.any():
        asked = np.flatnonzero(rows.risky)
        # rows of one machine are adjacent: they differ little, which a model may exploit
        asked = asked[np.argsort(rows.slot[asked], kind="stable")]
        risk[asked] = models.maintenance.risk(rows.maintenance[asked])
    return risk


def advisable(rows: RowResults, models: Models) -> Bools:
    """Return the readings whose risk is ground for advice, (n,).

    Before a machine's baseline is known its slow averages are hours old at most; only a model that was trained on whole
    lives knows what to make of a young machine.
    """
    if isinstance(models.maintenance, LifetimeModel):
        return rows.risky
    return rows.risky & rows.warm


def time_left(features: Features, models: Models) -> HoursToFailure | None:
    """Return the running hours to failure of one feature row, (Fm,); None where the model gives none."""
    if not isinstance(models.maintenance, LifetimeModel):
        return None
    hours = models.maintenance.hours_to_failure(features[None])[0]
    if not np.isfinite(hours).all():
        return None
    low, mid, high = (float(value) for value in hours)
    return HoursToFailure(low=low, mid=mid, high=high)


def advise(*, slots: Ints, timestamps: Floats, risk: Floats, wear: Wear) -> tuple[Ints, Ints, Floats]:
    """Advance the bands by one batch, in place, and return rows, bands and risks of the advice that is due, (k,) each.

    risk: (n,) in [0, 3], NaN where not estimated. timestamps: (n,) epoch s. Advice is due at a change of band and a
    day after the last advice.
    """
    return _advise(slots, timestamps, risk, wear, np.array(BAND_STARTS))


@njit(cache=True)
def _advise(slots: Ints, timestamps: Floats, risk: Floats, wear: Wear, starts: Floats) -> tuple[Ints, Ints, Floats]:
    rows = []
    bands = []
    risks = []
    for row in range(len(slots)):
        if np.isnan(risk[row]):
            continue
        slot = slots[row]
        if np.isnan(wear.risk[slot]):
            wear.risk[slot] = risk[row]
        wear.risk[slot] += _SMOOTHING * (risk[row] - wear.risk[slot])
        band = wear.band[slot]
        while band < len(starts) and wear.risk[slot] >= starts[band]:
            band += 1
        while band > 0 and wear.risk[slot] < starts[band - 1] - _HYSTERESIS:
            band -= 1
        first = np.isnan(wear.issued_at[slot])
        if first or band != wear.band[slot] or timestamps[row] - wear.issued_at[slot] >= _REPEAT_SECONDS:
            wear.band[slot] = band
            wear.issued_at[slot] = timestamps[row]
            rows.append(row)
            bands.append(band)
            risks.append(wear.risk[slot])
    # int64 and float64 also where nothing is due: an empty list has no element type of its own
    return np.array(rows, dtype=np.int64), np.array(bands, dtype=np.int64), np.array(risks, dtype=np.float64)


def advice_text(machine_id: str, band: Band) -> str:
    """Return the advice for a band as one sentence."""
    return _TEXT[band].format(machine=machine_id)


def reasons_of(slow: Floats, mean: Floats, scale: Floats, sensors: tuple[Sensor, ...]) -> tuple[Reason, ...]:
    """Return the sensors whose slow average is more than half a scale off the baseline, by falling deviation.

    slow, mean, scale: (D,) in the units of the D `sensors`.
    """
    away = np.nan_to_num((slow - mean) / scale)
    total = float(np.abs(away).sum()) or 1.0
    order = np.argsort(-np.abs(away))
    return tuple(
        Reason(
            sensor=sensors[d].name,
            contribution=float(abs(away[d]) / total),
            sentence=(
                f"{sensors[d].name} averages {in_words(slow[d], 3)} {sensors[d].unit} over the last days, "
                f"{'above' if away[d] > 0 else 'below'} its normal {in_words(mean[d], 3)} {sensors[d].unit}"
            ),
        )
        for d in order
        if abs(away[d]) > 0.5  # noqa: PLR2004  half a scale: what the docstring says
    )
