"""The counterfactual of advice: the smallest return of one sensor towards normal that would lower its band."""

from typing import Final

import numpy as np

from core.arrays import Features, Floats
from core.maintenance import BAND_STARTS, BANDS
from core.models import RiskModel
from core.plant import Sensor
from schemas.recommendations import Counterfactual
from schemas.rounding import in_words

_STEPS: Final = 8
_MOST_SENSORS: Final = 4
_AWAY: Final = 0.5  # scales; nearer to its baseline a sensor has nothing to return from


def counterfactual_of(
    features: Features, band: int, *, mean: Floats, scale: Floats, sensors: tuple[Sensor, ...], model: RiskModel
) -> Counterfactual | None:
    """Return the smallest return of one sensor that brings advice of `band`, an index into `BANDS`, to a lower one.

    features: (Fm,), slow averages of the D `sensors` at each span, running hours, machine type. mean, scale: (D,), the
    machine's baseline. The model itself answers for eight steps of at most four sensors, in one call; of the steps
    that suffice the smallest, in scales, counts. None where one sensor alone lowers nothing.
    """
    width = len(sensors)
    spans = (len(features) - 2) // width if width else 0
    if band == 0 or not spans:
        return None
    averages = features[: spans * width].astype(np.float64).reshape(spans, width)
    away = np.nan_to_num((averages[-1] - mean) / scale)
    asked = [int(d) for d in np.argsort(-np.abs(away), kind="stable")[:_MOST_SENSORS] if abs(away[d]) > _AWAY]
    if not asked:
        return None
    shares = np.arange(1, _STEPS + 1) / _STEPS
    trials = np.repeat(averages[None], len(asked) * _STEPS, axis=0)
    for place, d in enumerate(asked):
        own = trials[place * _STEPS : (place + 1) * _STEPS, :, d]
        own += shares[:, None] * (mean[d] - own)
    rows = np.repeat(features[None], len(trials), axis=0)
    rows[:, : spans * width] = trials.reshape(len(trials), -1)
    risk = model.risk(rows).reshape(len(asked), _STEPS)
    enough = risk < BAND_STARTS[band - 1]
    moves = np.where(enough, shares * np.abs(away[asked])[:, None], np.inf)
    place, step = divmod(int(moves.argmin()), _STEPS)
    if not np.isfinite(moves[place, step]):
        return None
    d, lower = asked[place], BANDS[int(np.searchsorted(BAND_STARTS, risk[place, step], side="right"))]
    sensor, value = sensors[d], float(trials[place * _STEPS + step, -1, d])
    side = "below" if away[d] > 0 else "above"
    return Counterfactual(
        sensor=sensor.name,
        value=value,
        band=lower,
        sentence=f"{sensor.name} {side} {in_words(value, 3)} {sensor.unit} on average would bring it to {lower}",
    )
