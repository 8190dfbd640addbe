"""Labelled readings of a simulated plant as one table.

The machines are those of `nexova produce simulate`; columns for the ground truth stand beside the readings.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Final

import numpy as np
import pandas as pd
from pandas.tseries.frequencies import to_offset

from core.arrays import Floats
from core.plant import Plant
from producer.faults import FAULT_KINDS, InjectedFault
from producer.fleet import Fleet
from producer.shifts import CONDITIONS
from runtime.errors import UsageError
from runtime.plants import load_plant

DATA_START: Final = datetime(2025, 1, 6, tzinfo=UTC)
"""A Monday in the past, so that generated data can be replayed; readings from the future would be refused."""
FAULT_SHARE: Final = 0.05
_HEALTHY_START_DAYS: Final = 14.0
_SHORTEST_SECONDS: Final = 1.0
_LONGEST_SECONDS: Final = 3600.0
_MOST_ROWS: Final = 50_000_000


@dataclass(frozen=True, kw_only=True)
class _Generated:
    """The machines and the end, epoch seconds, of the table generated last."""

    fleet: Fleet
    end: float


@dataclass(kw_only=True)
class IndustrialDataGenerator:
    """Generator of labelled readings; the same seed and arguments give identical bytes.

    plant: None means the shipped default plant.
    """

    seed: int = 42
    plant: Plant | None = None
    _generated: _Generated | None = field(default=None, init=False, repr=False)

    def generate_energy_timeseries(
        self,
        days: int = 90,
        frequency: str = "5min",
        machines: int | Sequence[str] = 5,
        include_anomalies: bool = True,  # noqa: FBT001, FBT002  the product's published signature
        *,
        start: datetime = DATA_START,
    ) -> pd.DataFrame:
        """Return readings of all machines in order of time, with their ground truth.

        Columns: machine_id, timestamp (UTC), one per sensor (NaN where missing), anomaly (0 or 1), anomaly_kind
        ("none" or a kind of `producer.faults`), hours_to_failure (by wear, if nobody intervenes) and condition (off,
        idle, running, maintenance). About 5 % of readings are anomalous.

        Raises:
            UsageError: an argument breaks its rule.
        """
        plant = load_plant(None) if self.plant is None else self.plant
        interval = interval_of(frequency)
        if days < 1:
            raise UsageError(f"days = {days}: must be at least 1")
        if start.tzinfo is None:
            raise UsageError(f"start = {start.isoformat()}: has no time zone; add one, such as +00:00")
        epoch = float(np.floor(start.timestamp() / 60.0) * 60.0)
        fleet = Fleet(
            plant=plant,
            machines=machines,
            seed=self.seed,
            epoch=epoch,
            interval_seconds=interval,
            least_days=_HEALTHY_START_DAYS,
            fault_share=FAULT_SHARE if include_anomalies else 0.0,
        )
        instants = int(days * 86_400.0 // interval)
        rows = instants * len(fleet.machine_ids)
        if rows > _MOST_ROWS:
            raise UsageError(
                f"{days} days of {len(fleet.machine_ids)} machines every {frequency} are {rows:,} rows, more than "
                f"{_MOST_ROWS:,}; ask for fewer days or machines, or a longer frequency"
            )
        self._generated = _Generated(fleet=fleet, end=epoch + instants * interval)
        seconds = np.asarray(epoch + np.arange(instants) * interval, dtype=np.float64)
        return _table(fleet, seconds)

    def injected_faults(self) -> tuple[InjectedFault, ...]:
        """Return the faults in the table generated last, in order of their start; none before the first call."""
        if self._generated is None:
            return ()
        return self._generated.fleet.planned_faults(self._generated.fleet.epoch, self._generated.end)


def interval_of(frequency: str) -> float:
    """Return the seconds between two readings at a frequency such as "5min", "30s" or "1h".

    Raises:
        UsageError: it is no such frequency, or outside 1 s to 1 h.
    """
    try:
        seconds = float(to_offset(frequency).nanos) / 1e9
    except (ValueError, TypeError) as error:
        raise UsageError(f'frequency = {frequency!r}: is not a fixed time; write "5min", "30s" or "1h"') from error
    if not _SHORTEST_SECONDS <= seconds <= _LONGEST_SECONDS:
        raise UsageError(f'frequency = {frequency!r}: must lie between "1s" and "1h"')
    return seconds


def _table(fleet: Fleet, seconds: Floats) -> pd.DataFrame:
    observed = fleet.observe(seconds)
    cube = observed.values  # noqa: PD011  no frame
    instants, machines, count = cube.shape
    values = cube.reshape(instants * machines, count)
    names = np.array(fleet.machine_ids, dtype=object)
    kinds = np.array(["none", *FAULT_KINDS], dtype=object)
    states = np.array(CONDITIONS, dtype=object)
    milliseconds = np.round(seconds * 1000.0).astype(np.int64).astype("datetime64[ms]")
    columns: dict[str, object] = {
        "machine_id": np.tile(names, instants),
        "timestamp": pd.DatetimeIndex(np.repeat(milliseconds, machines)).tz_localize("UTC"),
    }
    columns |= {name: values[:, index] for index, name in enumerate(fleet.plant.sensor_names)}
    columns |= {
        "anomaly": (observed.kinds.ravel() > 0).astype(np.int8),
        "anomaly_kind": kinds[observed.kinds.ravel()],
        "hours_to_failure": np.round(observed.hours_to_failure.ravel(), 2),
        "condition": states[observed.states.ravel()],
    }
    return pd.DataFrame(columns)
