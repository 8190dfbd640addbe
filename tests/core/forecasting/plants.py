"""A simulated plant whose energy follows its production, which is planned ahead."""

import numpy as np

from core.forecasting.engine import HourlySeries, KnownInputs
from core.forecasting.engine.series import DAY
from tests.core.forecasting.courses import MONDAY


def a_planned_plant(*, days: int = 120, seed: int = 5) -> tuple[HourlySeries, KnownInputs]:
    """Return the energy and the production plan of a plant: shifts that vary, idle days, orders that come and go."""
    random = np.random.default_rng(seed)
    hour, day = np.arange(days * DAY) % DAY, np.arange(days * DAY) // DAY
    end = random.choice([14, 22, 22, 24], days)[day]
    busy = ((random.random(days) < 0.9)[day]) & ((day % 7 < 5) | (random.random(days) < 0.4)[day])
    orders = np.exp(np.cumsum(random.normal(0, 0.03, days)) + random.normal(0, 0.3, days))[day]
    production = np.round(100 * orders * ((hour >= 6) & (hour < end) & busy))
    energy = 20 + 0.6 * production + random.normal(0, 6, len(hour)) * (1 + (production > 0))
    series = HourlySeries(first_hour=MONDAY, values=np.maximum(0.0, energy))
    return series, KnownInputs(names=("production",), first_hour=MONDAY, values=production[None])
