"""Sensor values of one simulated machine at any instants, before faults are applied.

Smooth states are functions of event time; only noise belongs to the single reading. So a history of one reading a
minute continues at one reading a second without a jump, and a chunk computed alone equals that part of the whole.
"""

from dataclasses import dataclass
from functools import cached_property
from typing import Final

import numpy as np

from core.arrays import Bools, Codes, Floats, Ints
from core.plant import Plant
from producer.chance import Chance
from producer.days import Grid, MachineDays, of_day
from producer.physics import Physics, Quantity, physics_of, quantities
from producer.shifts import IDLE, LEAD_MINUTES, RUNNING
from producer.wear import DAY_SECONDS, Lives

States = Codes

_MILLISECONDS: Final = 1000.0
_RUNNING_SHARE_BEFORE: Final = 0.7  # of the hours of its life before the simulation began
_DECIMALS: Final[dict[Quantity, int]] = {
    "power": 2,
    "temperature": 2,
    "vibration": 3,
    "production": 1,
    "runtime": 3,
    "other": 3,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Signals:
    """A machine at n instants: sensor values (n, S) unrounded, state codes (n,), hours to its failure (n,)."""

    values: Floats
    state: States
    hours_to_failure: Floats


@dataclass(frozen=True, slots=True, kw_only=True)
class _Instants:
    """The physical state of the machine at n instants, from which sensor values are computed."""

    seconds: Floats
    running: Bools
    idle: Bools
    load: Floats
    heat: Floats
    wear: Floats


@dataclass(frozen=True, kw_only=True)
class MachineTimeline:
    """One machine from `epoch` (epoch seconds, a whole minute) on; `weather` is shared by a plant's machines.

    least_days, stagger: see `Lives`. running_from: from this instant on the machine always runs, so that a
    demonstration works at any hour; None: it follows its shift plan.
    """

    plant: Plant
    machine_id: str
    chance: Chance
    weather: Chance
    epoch: float
    least_days: float
    stagger: float
    running_from: float | None = None

    @cached_property
    def quantities(self) -> tuple[Quantity, ...]:
        """What each sensor measures."""
        return quantities(self.plant)

    @cached_property
    def physics(self) -> Physics:
        """This machine's constants."""
        return physics_of(self.plant, self.machine_id, self.chance.child("physics"))

    @cached_property
    def lives(self) -> Lives:
        """This machine's wear, failures and maintenance."""
        return Lives(
            chance=self.chance.child("lives"),
            components=len(self.physics.components),
            epoch=self.epoch,
            least_days=self.least_days,
            stagger=self.stagger,
        )

    @cached_property
    def days(self) -> MachineDays:
        """This machine's condition, load and heat by the minute."""
        return MachineDays(
            physics=self.physics,
            lives=self.lives,
            chance=self.chance.child("days"),
            timezone=self.plant.timezone,
            epoch=self.epoch,
            running_from=self.running_from,
        )

    def signals(self, seconds: Floats) -> Signals:
        """Return the sensor values at `seconds`, epoch seconds from 0 on, (n,) and n at least 1.

        Raises:
            ValueError: an instant lies before the epoch.
        """
        if seconds.min() < self.epoch:
            raise ValueError(f"{seconds.min()} lies before the beginning of the simulation, {self.epoch}")
        day = np.floor(seconds / DAY_SECONDS).astype(np.int64)
        days, row = np.unique(day, return_inverse=True)
        grid = self.days.grid(days)
        row = np.asarray([grid.rows[int(one)] for one in days], dtype=np.int64)[row]
        minutes = (seconds - day * DAY_SECONDS) / 60.0
        minute = np.floor(minutes).astype(np.int64)
        part = minutes - minute
        at = minute + LEAD_MINUTES
        state = grid.state[row, at]
        instants = _Instants(
            seconds=seconds,
            running=state == RUNNING,
            idle=state == IDLE,
            load=grid.load[row, at] * (1.0 - part) + grid.load[row, at + 1] * part,
            heat=grid.heat[row, at] * (1.0 - part) + grid.heat[row, at + 1] * part,
            wear=self.lives.wear(seconds),
        )
        values = np.empty((len(seconds), len(self.quantities)))
        since = np.round((seconds - self.epoch) * _MILLISECONDS).astype(np.int64)
        for column, (name, quantity) in enumerate(zip(self.plant.sensor_names, self.quantities, strict=True)):
            if quantity == "runtime":
                values[:, column] = self._running_hours(instants, grid, row, minute, part)
            else:
                value, spread = self._sensor(column, quantity, instants)
                values[:, column] = value + spread * self.chance.child("noise", name).normal(since)
        return Signals(values=values, state=state, hours_to_failure=self.lives.hours_to_failure(seconds))

    def finished(self, values: Floats) -> Floats:
        """Return `values`, (n, S), as sensors report them: within their range, rounded to their resolution."""
        low = np.array([sensor.minimum for sensor in self.plant.sensors])
        high = np.array([sensor.maximum for sensor in self.plant.sensors])
        result: Floats = np.clip(values, low, high)
        for column, quantity in enumerate(self.quantities):
            result[:, column] = np.round(result[:, column], _DECIMALS[quantity])
        return result

    def _sensor(self, column: int, quantity: Quantity, at: _Instants) -> tuple[Floats, Floats]:
        """Return a sensor's true value and the standard deviation of its noise, (n,) each."""
        own = self.physics
        parts = own.components
        value: Floats
        spread: Floats
        if quantity == "power":
            worn = 1.0 + at.wear @ np.array([part.power_share for part in parts])
            value = np.where(at.running, own.rated_power * self.days.running_share(at.load) * worn, own.standby_power)
            value = np.where(at.idle, own.idle_power, value)
            spread = own.rated_power * np.where(at.running, 0.010, np.where(at.idle, 0.004, 0.0004))
        elif quantity == "temperature":
            worn = at.wear @ np.array([part.temperature_kelvin for part in parts])
            value = self._hall(at.seconds) + at.heat / own.base_load * (own.temperature_rise + worn)
            spread = np.full(len(value), 0.35)
        elif quantity == "vibration":
            # only the most worn component is visible
            worn = 1.0 + (at.wear * np.array([part.vibration_share for part in parts])).max(axis=1)
            value = np.where(at.running, 0.85 + 0.15 * at.load / own.base_load, np.where(at.idle, 0.3, 0.01))
            value = own.vibration * value * worn
            spread = own.vibration * np.where(at.running, 0.045, np.where(at.idle, 0.02, 0.001))
        elif quantity == "production":
            value = np.where(at.running, own.production * at.load / own.base_load, 0.0)
            spread = own.production * np.where(at.running, 0.015, 0.0)
        else:
            sensor = self.plant.sensors[column]
            span = sensor.maximum - sensor.minimum
            value = sensor.minimum + span * (0.3 + 0.2 * np.where(at.running, at.load, 0.0))
            spread = np.full(len(value), 0.005 * span)
        return value, spread

    def _hall(self, seconds: Floats) -> Floats:
        """Return the temperature of the hall in °C, (n,): season, time of day and weather."""
        day = seconds / DAY_SECONDS
        season = -np.cos(2 * np.pi * (day - 15.0) / 365.25)
        daily = np.cos(2 * np.pi * (day - 0.6))
        weather = self.weather.wander(seconds - self.epoch, every=1.5 * DAY_SECONDS)
        hall: Floats = 20.0 + 2.5 * season + 1.2 * daily + 0.8 * weather
        return hall

    def _running_hours(self, at: _Instants, grid: Grid, row: Ints, minute: Ints, part: Floats) -> Floats:
        """Return the hours run since the last maintenance, (n,)."""
        ran = np.cumsum(of_day(grid.state) == RUNNING, axis=1)
        before = np.concatenate([np.zeros((len(ran), 1), np.int64), ran], axis=1)
        day = np.floor(at.seconds / DAY_SECONDS).astype(np.int64)
        total = self.days.minutes_before(day) + before[row, minute] + part * at.running
        life = self.lives.life_at(at.seconds)
        begun = self.lives.starts[life]
        for one in np.unique(life):
            start = float(self.lives.starts[one])
            since = max(start, self.epoch)
            earlier = (since - start) / 60.0 * _RUNNING_SHARE_BEFORE
            total[life == one] += earlier - self.days.minutes_at(since)
        hours: Floats = total / 60.0
        return np.where(begun <= at.seconds, hours, 0.0)
