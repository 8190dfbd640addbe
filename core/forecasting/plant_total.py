"""Plant totals as sums over machines: complete hours, and forecasts with intervals of the sum.

The hours of a sum are those in which every machine is known; the interval of a sum lies between that of independent
machines (the root of the sum of squares) and that of machines that err together (the sum). Where between is learned:
whenever an hour has been measured, the share of forecasts that missed it moves the interval towards 80 %.
"""

from dataclasses import dataclass, field, replace
from typing import Final

import numpy as np

from core.arrays import Floats
from core.forecasting.names import PLANT_SUM
from core.issued_forecast import IssuedForecast

FIRST_TOGETHER: Final = 0.3
_MEMBER_HOURS: Final = 24  # a machine belongs to the plant for as long after its last hour
_OVERDUE_HOURS: Final = 3  # lead of the other machines after which an hour without a member is given up
_BEHIND_HOURS: Final = 6  # older forecasts are not used
_KEPT_HOURS: Final = 72
_GAIN: Final = 0.05
_MISS_SHARE: Final = 0.2
_MOST_TOGETHER: Final = 2.0


@dataclass(slots=True)
class Total:
    """Newest forecasts and last hours of all machines. hours: kWh by hour and machine, NaN where hardly measured."""

    forecasts: dict[str, IssuedForecast] = field(default_factory=dict)
    hours: dict[int, dict[str, float]] = field(default_factory=dict)

    def take_hour(self, machine_id: str, hour: int, energy_kwh: float) -> None:
        """Set one hour of a machine; a later revision replaces an earlier one."""
        self.hours.setdefault(hour, {})[machine_id] = energy_kwh
        for old in [one for one in self.hours if one < max(self.hours) - _KEPT_HOURS]:
            del self.hours[old]

    def take_forecast(self, machine_id: str, course: IssuedForecast) -> None:
        """Set a machine's forecast if it is newer than the known one."""
        known = self.forecasts.get(machine_id)
        if known is None or course.origin >= known.origin:
            self.forecasts[machine_id] = course

    def complete_hours(self) -> list[tuple[int, float]]:
        """Return (hour, kWh) in order, to the first hour that a machine may still complete; NaN where one did not."""
        found = []
        newest = max(self.hours, default=-1)
        seen: dict[str, int] = {}
        for hour in range(min(self.hours, default=0), newest + 1):
            known = self.hours.get(hour, {})
            seen |= dict.fromkeys(known, hour)
            members = sum(last >= hour - _MEMBER_HOURS for last in seen.values())
            if members == len(known):
                found.append((hour, float(sum(known[machine_id] for machine_id in sorted(known)))))
            elif newest >= hour + _OVERDUE_HOURS:
                found.append((hour, float("nan")))
            else:
                break
        return found

    def origin(self) -> int | None:
        """Return the newest origin of the machines' forecasts; None without one."""
        return max((course.origin for course in self.forecasts.values()), default=None)

    def members(self) -> list[IssuedForecast]:
        """Return forecasts that count for the newest origin, in order of their machines."""
        origin = self.origin() or 0
        recent = [one for _, one in sorted(self.forecasts.items()) if one.origin >= origin - _BEHIND_HOURS]
        return [one for one in recent if one.origin + len(one.value) > origin]

    def is_complete(self) -> bool:
        """Return whether every recently measured machine has a forecast of the newest origin."""
        origin = self.origin()
        if origin is None:
            return False
        forecast = {machine_id for machine_id, course in self.forecasts.items() if course.origin == origin}
        return self.measured(origin) <= forecast and all(course.origin == origin for course in self.members())

    def measured(self, origin: int) -> set[str]:
        """Return the machines with an hour measured shortly before `origin`."""
        hours = range(origin - _BEHIND_HOURS, origin)
        return {machine_id for hour in hours for machine_id in self.hours.get(hour, {})}


def summed(members: list[IssuedForecast], *, together: float) -> IssuedForecast:
    """Return the sum of forecasts over their common hours; together: 0 for independent errors, 1 for equal ones."""
    origin = max(course.origin for course in members)
    end = min(course.origin + len(course.value) for course in members)
    cut = [
        replace(
            course,
            value=course.value[origin - course.origin : end - course.origin],
            lower=course.lower[origin - course.origin : end - course.origin],
            upper=course.upper[origin - course.origin : end - course.origin],
        )
        for course in members
    ]
    value = np.sum([course.value for course in cut], axis=0)
    down = _width(np.array([course.value - course.lower for course in cut]), together)
    up = _width(np.array([course.upper - course.value for course in cut]), together)
    floor = np.minimum(value, np.sum([np.minimum(course.lower, 0.0) for course in cut], axis=0))
    return IssuedForecast(
        origin=origin, value=value, lower=np.maximum(value - down, floor), upper=value + up, model=PLANT_SUM
    )


def _width(widths: Floats, together: float) -> Floats:
    """Return half an interval of a sum of m members, (m, h)."""
    apart = np.sqrt((widths**2).sum(axis=0))
    return np.asarray(apart + together * (widths.sum(axis=0) - apart))


def learned(together: float, *, points: float, covered: float) -> float:
    """Return `together` updated by an hour with this many forecasts, and this many that covered it."""
    missed = 1 - covered / points
    return float(np.clip(together + _GAIN * (missed - _MISS_SHARE), 0.0, _MOST_TOGETHER))
