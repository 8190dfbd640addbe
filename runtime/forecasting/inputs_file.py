"""Known-future inputs from a file: a column of times, one or several columns of numbers."""

from pathlib import Path

import numpy as np

from core.forecasting.engine import KnownInputs
from core.forecasting.engine.inputs import MOST_INPUTS
from runtime.errors import UsageError
from runtime.forecasting.series_file import read_series
from runtime.tables.columns import SetAside, holds_numbers
from runtime.tables.recognise import TextForm
from runtime.tables.series import series_times
from runtime.tables.table import read_table


def read_inputs(path: Path, *, form: TextForm | None = None) -> KnownInputs:
    """Return the known-future inputs of a file: its column of times, and every column of numbers.

    Several values within an hour become their mean; local times are used as written, as those of the series.

    Raises:
        UsageError: as of `read_series`, or no column or too many columns of numbers.
    """
    names = input_columns(path, form=form)
    found = [read_series(path, column=name, form=form).series for name in names]
    first, end = min(one.first_hour for one in found), max(one.end for one in found)
    values = np.stack([one.at(np.arange(first, end)) for one in found])
    return KnownInputs(names=tuple(names), first_hour=first, values=values)


def input_columns(path: Path, *, form: TextForm | None = None) -> list[str]:
    """Return the columns of a file that hold inputs: all with numbers beside its times.

    Raises:
        UsageError: no times, or no column or too many columns of numbers.
    """
    table = read_table(path, form)
    times, _ = series_times(table, SetAside(table))
    names = [name for name in table.columns if name not in times and holds_numbers(table, name)]
    if not 1 <= len(names) <= MOST_INPUTS:
        raise UsageError(f"{path}: {len(names)} columns hold numbers; 1 to {MOST_INPUTS} inputs can be used")
    return names
