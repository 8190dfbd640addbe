"""Training of forecasts of each machine's hourly mean power; the best candidate on validation is chosen.

Hours are those of the plant's own clock, on which shifts are planned. In the hour at which clocks are set back the
readings of both passes count together; the one that is skipped is missing.
"""

from dataclasses import dataclass
from functools import partial
from typing import Final

import numpy as np
import pandas as pd

from core.arrays import DAY, WEEK, Floats, Ints
from core.detection.features import FeatureFrame
from core.forecasting.curves import hour_of_week
from core.forecasting.engine import HourlySeries
from core.forecasting.names import PUBLISHED, PublishedName
from core.plant import Plant
from core.state.traits import traits_of
from runtime.errors import UsageError
from runtime.forecasting.published import (
    FORECAST,
    ForecastDocument,
    MachineForecast,
    MachineForecasts,
    forecast_by,
)
from runtime.models.inference import DOCUMENT
from trainer.candidate import Candidate, Progress, span_of
from trainer.curve import fit_curve
from trainer.datasets import Datasets
from trainer.fanout import each
from trainer.measure import Outcome

HORIZON: Final = DAY
FEWEST_HOURS: Final = 2 * WEEK
_LEVEL: Final = 0.8
_STEP: Final = "forecasts"
_WORKING_SHARE: Final = 0.25  # of a machine's highest hour, where the plant file does not say when it idles


@dataclass(frozen=True, slots=True, kw_only=True)
class HourlyPower:
    """Mean power in kW of M machines in h hours on the plant's clock, (M, h), NaN where there is no reading.

    first_hour: hours since the epoch. begins: the first whole hour of each split.
    """

    machine_ids: tuple[str, ...]
    first_hour: int
    kilowatts: Floats
    begins: tuple[int, int, int]

    def series(self, machine: int) -> HourlySeries:
        """Return one machine's hours."""
        return HourlySeries(first_hour=self.first_hour, values=self.kilowatts[machine])

    def midnights(self, split: int) -> Ints:
        """Return the origins of a split: each midnight whose day lies within it, hours since the epoch."""
        end = self.begins[split + 1] if split + 1 < len(self.begins) else self.first_hour + self.kilowatts.shape[1]
        first = -(-self.begins[split] // DAY) * DAY
        return np.arange(first, end - HORIZON + 1, DAY)


def hourly_power(data: Datasets, plant: Plant) -> HourlyPower | None:
    """Return the hourly means of all machines; None where no sensor measures power, or it has no values."""
    power = plant.index_of_role("power")
    if power is None or not len(data.batch):
        return None
    hours = _local_hours(data.batch.timestamps, plant.timezone)
    first, count = int(hours.min()), int(np.ptp(hours)) + 1
    machines = len(data.batch.machine_ids)
    value = data.batch.values[:, power]  # noqa: PD011  no frame
    known = ~np.isnan(value)
    if not known.any():
        return None
    place = data.batch.machine[known] * count + (hours[known] - first)
    total = np.bincount(place, value[known], machines * count)
    readings = np.bincount(place, minlength=machines * count)
    mean = np.where(readings > 0, total / np.maximum(readings, 1), np.nan)
    # an hour that two splits share belongs to the former
    begins = [first]
    for split in (1, 2):
        before = hours[data.split < split]
        begins.append(int(before.max()) + 1 if before.size else first)
    return HourlyPower(
        machine_ids=tuple(data.batch.machine_ids),
        first_hour=first,
        kilowatts=mean.reshape(machines, count),
        begins=(begins[0], begins[1], begins[2]),
    )


def _local_hours(seconds: Floats, timezone: str) -> Ints:
    # clocks differ by quarters of an hour at most, so each quarter is looked up once
    quarters, place = np.unique(np.floor(seconds / 900.0).astype(np.int64), return_inverse=True)
    moments = pd.to_datetime(quarters * 900, unit="s", utc=True).tz_convert(timezone).tz_localize(None)
    return np.asarray(moments.floor("h").as_unit("s").astype("int64").to_numpy() // 3600)[place]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Task:
    """One machine's hours, up to where validation ends, and the midnights that candidates are compared at."""

    series: HourlySeries
    train_end: int
    origins: Ints
    seed: int


def train_forecast(data: Datasets, frame: FeatureFrame, *, plant: Plant, seed: int, progress: Progress) -> Candidate:
    """Fit each machine's candidates on the training split, and choose between them on the validation split.

    Raises:
        UsageError: no power, or no machine with two weeks of it in the training split.
    """
    del frame  # the hours say it all
    power = hourly_power(data, plant)
    if power is None:
        raise UsageError(
            f"forecast: plant {plant.name} has no sensor of role power that speaks, which is what is forecast; give "
            "one that role, or train the other models only"
        )
    usable = [machine for machine in range(len(power.machine_ids)) if _training_hours(power, machine) >= FEWEST_HOURS]
    if not usable:
        most = max(_training_hours(power, machine) for machine in range(len(power.machine_ids)))
        raise UsageError(
            f"forecast: train_data has at most {most} hours with power of a machine, {FEWEST_HOURS} are needed to see "
            "two weeks; give more days"
        )
    progress(_STEP, 0.0)
    validation_end = power.begins[2]
    tasks = [
        _Task(
            series=power.series(machine).until(validation_end),
            train_end=power.begins[1],
            origins=power.midnights(1),
            seed=seed,
        )
        for machine in usable
    ]
    fitted = each(_fit_machine, tasks, step=_STEP, progress=progress)
    document = ForecastDocument(
        timezone=plant.timezone,
        machines={power.machine_ids[machine]: found for machine, found in zip(usable, fitted, strict=True)},
    )
    rows = data.split == 0
    spoken = rows & ~np.isnan(data.batch.values[:, plant.index_of_role("power") or 0])  # noqa: PD011  no frame
    kept = np.isin(data.batch.machine, usable)
    return Candidate(
        name=FORECAST,
        files={DOCUMENT: document.model_dump_json().encode()},
        trained_on=span_of(data.batch.timestamps[rows]),
        rows_used=int((spoken & kept).sum()),
        rows_excluded={
            "given twice": data.duplicates,
            "without power": int((rows & ~spoken).sum()),
            "of machines with less than two weeks": int((spoken & ~kept).sum()),
        },
        parameters={
            "horizon_hours": HORIZON,
            "origins_compared_on": len(power.midnights(1)),
            "used": {name: found.use for name, found in document.machines.items()},
            **{
                f"error_of_{name}_kw": round(float(np.mean([found.errors[name] for found in fitted])), 3)
                for name in PUBLISHED
            },
            "seed": seed,
        },
    )


def can_be_forecast(data: Datasets, plant: Plant) -> bool:
    """Return whether any machine has enough hours with power in the training split."""
    power = hourly_power(data, plant)
    return power is not None and any(
        _training_hours(power, machine) >= FEWEST_HOURS for machine in range(len(power.machine_ids))
    )


def _training_hours(power: HourlyPower, machine: int) -> int:
    known = power.kilowatts[machine, : power.begins[1] - power.first_hour]
    return int((~np.isnan(known)).sum())


def _fit_machine(task: _Task) -> MachineForecast:
    """Fit one machine's curve, and try all candidates at each midnight of the validation split."""
    training = task.series.until(task.train_end)
    curve = fit_curve(training, seed=task.seed)
    week = _median_week(training)
    ask = partial(forecast_by, horizon=HORIZON, curve=curve.curve(), week=week, spread=0.0)
    residuals: dict[PublishedName, Floats] = {}
    for candidate in PUBLISHED:
        memory = None
        wrong = []
        for origin in task.origins.tolist():
            course, memory = ask(candidate, task.series.until(origin), memory=memory)
            wrong.append(course.value - task.series.at(origin + np.arange(HORIZON)))
        found = np.abs(np.concatenate(wrong)) if wrong else np.zeros(0)
        residuals[candidate] = found[~np.isnan(found)]
    errors = {name: float(wrong.mean()) if wrong.size else 0.0 for name, wrong in residuals.items()}
    use = min(PUBLISHED, key=lambda name: errors[name])
    spread = float(np.quantile(residuals[use], _LEVEL)) if residuals[use].size else float(np.nanstd(training.values))
    return MachineForecast(use=use, errors=errors, spread=spread, week=tuple(week.tolist()), curve=curve)


def _median_week(series: HourlySeries) -> Floats:
    """Return the median of each hour of the week, (168,); one without values has the median of all."""
    place = hour_of_week(series.first_hour + np.arange(len(series.values)))
    medians = pd.Series(series.values).groupby(place).median().reindex(range(WEEK))
    return np.asarray(medians.fillna(float(np.nanmedian(series.values))), dtype=np.float64)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Evaluation:
    model: MachineForecasts
    machine_id: str
    series: HourlySeries
    origins: Ints


def forecast_outcome(model: MachineForecasts, data: Datasets, frame: FeatureFrame, *, plant: Plant) -> Outcome | None:
    """Return rolling forecasts of the next 24 h from every midnight of the test split, with all that was known by then.

    One case an hour and machine: truth and answer are its mean power in kW. Hours count for relative errors where the
    machine worked: their mean is above what it draws when idle. An error against a standing machine's standby power
    has no meaning as a share, though it counts in full in kW.
    """
    del frame
    power = hourly_power(data, plant)
    if power is None or not len(power.midnights(2)):
        return None
    known = [index for index, name in enumerate(power.machine_ids) if name in model.document.machines]
    evaluations = [
        _Evaluation(
            model=model,
            machine_id=power.machine_ids[index],
            series=power.series(index),
            origins=power.midnights(2),
        )
        for index in known
    ]
    if not evaluations:
        return None
    hours = (power.midnights(2)[:, None] + np.arange(HORIZON)).ravel()
    answer = np.concatenate(each(_answers, evaluations))
    truth = np.concatenate([one.series.at(hours) for one in evaluations])
    machine = np.repeat(np.array(known), len(hours))
    idle = np.repeat([_idle_below(plant, power, index) for index in known], len(hours))
    heard = ~np.isnan(truth)
    if not heard.any():
        return None
    return Outcome(
        machine=machine[heard], truth=truth[heard], answer=answer[heard], relative=truth[heard] >= idle[heard]
    )


def _answers(evaluation: _Evaluation) -> Floats:
    memory = None
    answers = []
    for origin in evaluation.origins.tolist():
        course, memory = evaluation.model.predict(
            evaluation.machine_id, evaluation.series.until(origin), horizon=HORIZON, memory=memory
        )
        answers.append(course.value)
    return np.concatenate(answers)


def _idle_below(plant: Plant, power: HourlyPower, machine: int) -> float:
    stated = traits_of(plant, power.machine_ids[machine])[1]
    highest = np.nanmax(power.kilowatts[machine]) if not np.isnan(power.kilowatts[machine]).all() else 0.0
    return float(stated) if np.isfinite(stated) else _WORKING_SHARE * float(highest)
