"""A simulated plant whose energy follows its production, which is planned ahead."""

import numpy as np

from core.arrays import DAY
from core.forecasting.engine import HourlySeries, KnownInputs
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


def an_idling_plant(*, days: int = 220, seed: int = 0) -> HourlySeries:
    """Return the energy of a plant in batches: busy and idle days, overtime and night shifts that follow its orders."""
    random = np.random.default_rng(seed)
    orders = np.zeros(days // 7 + 1)
    for week in range(1, len(orders)):
        orders[week] = 0.75 * orders[week - 1] + random.normal(0, 0.35)
    energy, batch, stopped, nights = np.zeros(days * DAY), 0.0, 0, False
    for day in range(days):
        weekday, order = day % 7, orders[day // 7]
        if weekday == 0:
            nights = bool(random.random() < (0.75 if nights else 0.12 * np.exp(order)))
        stopped = max(0, stopped - 1)
        share = {5: 0.5 * np.exp(1.2 * order), 6: 0.12 * np.exp(1.5 * order)}.get(weekday, 1 - 0.06 * np.exp(-order))
        busy = not stopped and random.random() < share
        if weekday < 5 and not busy and not stopped and random.random() < 0.4:
            stopped = int(random.integers(1, 3)) + 1
        overtime = weekday < 5 and random.random() < 1 / (1 + np.exp(-3 * order - 0.5))
        end = 13 if weekday == 5 else 21 if overtime else 17
        level = np.exp(0.6 * order + random.normal(0, 0.15))
        for hour in range(DAY):
            batch = 0.75 * batch + random.normal(0, 0.23)
            shift, night = 8 <= hour < end, nights and weekday < 5
            idle = 3.5 + abs(random.normal(0, 0.5))
            busy_hour = 4 + 70 * level * np.exp(batch) * (1.0 if shift else 0.4)
            energy[day * DAY + hour] = busy_hour if busy and (shift or night) else idle
    return HourlySeries(first_hour=MONDAY, values=energy)


def a_plant_of_unlike_days(*, days: int = 365, seed: int = 0) -> HourlySeries:
    """Return the energy of a plant with one sensor whose days are drawn anew.

    They are idle, half or full, some with overtime or a night. Heats of an hour or two differ, starts and ends move by
    an hour, and the level drifts and has a season.
    """
    random = np.random.default_rng(3000 + seed)
    idle_level, peak, idle = random.uniform(10, 16), random.uniform(100, 250), random.uniform(0.05, 0.2)
    overtime, night = random.uniform(0.2, 0.6), random.uniform(0.05, 0.4)
    season, phase = random.uniform(0, 0.4), random.uniform(0, 2 * np.pi)
    drift = np.cumsum(random.normal(0, 0.02, days))
    course = np.array(
        [
            *(0.5, 0.5, 0.45, 0.4, 0.4, 0.4, 0.45, 0.6, 0.8, 1.0, 1.05, 1.0),
            *(0.6, 0.85, 1.0, 1.0, 0.95, 0.8, 0.55, 0.6, 0.65, 0.6, 0.55, 0.5),
        ]
    )
    energy, heat = np.zeros(days * DAY), 0.0
    for day in range(days):
        weekday = day % 7
        busy = random.random() < {5: 0.45, 6: 0.08}.get(weekday, 1 - idle)
        late, all_night = random.random() < overtime, random.random() < night and weekday < 5
        level = np.exp(random.normal(0, 0.25) + season * np.sin(2 * np.pi * day / 365 + phase) + drift[day])
        start, end = 8 + int(random.integers(-1, 2)), (22 if late else 17) + int(random.integers(-1, 2))
        end = end if weekday < 5 else min(end, 14 + int(random.integers(0, 4)))
        for hour in range(DAY):
            heat = 0.6 * heat + 0.35 * random.normal()
            works = busy and (start <= hour < end or all_night)
            idling = idle_level * np.exp(0.12 * random.normal())
            energy[day * DAY + hour] = idling + (peak * course[hour] * level * np.exp(0.6 * heat) if works else 0.0)
    return HourlySeries(first_hour=MONDAY, values=energy)
