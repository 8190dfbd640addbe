"""Tables of per-machine numbers."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from core.state.tables import Column, allocate, grown, kept, put_rows, row_type, rows_of


class Table(NamedTuple):
    count: NDArray[np.int64]
    mean: NDArray[np.float64]


LAYOUT = {"count": Column("i8"), "mean": Column("f8", (2,), -1.0)}


def a_table(rows: int = 3) -> Table:
    table = allocate(Table, LAYOUT, rows)
    table.count[:] = np.arange(rows)
    return table


def test_new_rows_hold_their_fill() -> None:
    table = allocate(Table, LAYOUT, 2)
    assert (table.count.tolist(), table.mean.tolist()) == ([0, 0], [[-1, -1], [-1, -1]])


def test_a_grown_table_keeps_what_it_had() -> None:
    table = grown(a_table(), LAYOUT, 5)
    assert table.count.tolist() == [0, 1, 2, 0, 0]
    assert table.mean.shape == (5, 2)


def test_rows_can_be_put_elsewhere_in_narrower_columns() -> None:
    narrow = {"count": Column("i8", stored="i2", part="common"), "mean": Column("f8", (2,), -1.0)}
    table, other = a_table(), allocate(Table, LAYOUT, 4)
    kind = row_type({"table": narrow}, "common")
    assert kind.itemsize == 2
    put_rows({"table": other}, np.array([3, 0]), rows_of({"table": table}, kind, np.array([1, 2])))
    assert other.count.tolist() == [2, 0, 0, 1]
    assert (other.mean == -1).all()


def test_rows_that_are_kept_come_first_and_the_rest_is_as_new() -> None:
    assert kept(a_table(), LAYOUT, np.array([2, 1]), 3).count.tolist() == [2, 1, 0]
