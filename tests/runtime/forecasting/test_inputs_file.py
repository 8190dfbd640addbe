"""Known-future inputs from files."""

from pathlib import Path

import numpy as np
import pytest

from runtime.errors import UsageError
from runtime.forecasting.inputs_file import read_inputs


def a_file(folder: Path, text: str) -> Path:
    path = folder / "plan.csv"
    path.write_text(text)
    return path


def test_every_column_of_numbers_is_an_input_over_all_hours_of_the_file(tmp_path: Path) -> None:
    path = a_file(
        tmp_path,
        "time,pieces,shift,note\n2026-03-01 00:00:00,5,1,a\n2026-03-01 01:00:00,,2,b\n"
        "2026-03-01 02:00:00,6,2,b\n2026-03-01 04:00:00,7,3,c\n",
    )
    found = read_inputs(path)
    assert found.names == ("pieces", "shift")
    np.testing.assert_array_equal(found.values, [[5, np.nan, 6, np.nan, 7], [1, 2, 2, np.nan, 3]])
    assert found.first_hour == int(np.datetime64("2026-03-01T00", "h").astype(int))


def test_finer_plans_become_hours(tmp_path: Path) -> None:
    path = a_file(
        tmp_path,
        "time,pieces\n" + "".join(f"2026-03-01 {n // 4:02}:{15 * (n % 4):02}:00,{n}\n" for n in range(8)),
    )
    assert read_inputs(path).values.tolist() == [[1.5, 5.5]]


@pytest.mark.parametrize("columns", [0, 9])
def test_a_file_without_inputs_or_with_too_many_is_refused(tmp_path: Path, columns: int) -> None:
    names = "".join(f",x{number}" for number in range(columns))
    rows = "".join(f"2026-03-01 0{hour}:00:00{',1' * columns}\n" for hour in range(3))
    with pytest.raises(UsageError, match=rf"{columns} columns hold numbers; 1 to 8 inputs can be used"):
        read_inputs(a_file(tmp_path, f"time{names}\n{rows}"))
