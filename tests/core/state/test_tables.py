"""Tables of per-machine numbers."""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from core.state.tables import Column, allocate, grown, pack, unpack


class Table(NamedTuple):
    count: NDArray[np.int64]
    mean: NDArray[np.float64]


LAYOUT = {"count": Column("i8"), "mean": Column("f8", (2,), -1.0)}


def a_table(rows: int = 3) -> Table:
    table = allocate(Table, LAYOUT, rows)
    table.count[:] = np.arange(rows)
    return table


def packed(table: Table, *rows: int) -> dict[str, bytes]:
    return pack(table, np.array(rows))


def test_new_rows_hold_their_fill() -> None:
    table = allocate(Table, LAYOUT, 2)
    assert (table.count.tolist(), table.mean.tolist()) == ([0, 0], [[-1, -1], [-1, -1]])


def test_a_grown_table_keeps_what_it_had() -> None:
    table = grown(a_table(), LAYOUT, 5)
    assert table.count.tolist() == [0, 1, 2, 0, 0]
    assert table.mean.shape == (5, 2)


def test_packed_rows_can_be_put_elsewhere() -> None:
    table, other = a_table(), allocate(Table, LAYOUT, 4)
    unpack(other, LAYOUT, np.array([3, 0]), packed(table, 1, 2))
    assert other.count.tolist() == [2, 0, 0, 1]


def test_a_column_that_is_unknown_or_of_another_shape_keeps_its_fill() -> None:
    columns: dict[str, Any] = packed(a_table(), 1, 2)
    wider = {"count": Column("i8"), "mean": Column("f8", (3,), 7.0)}
    other = allocate(Table, wider, 2)
    unpack(other, wider, np.array([0, 1]), columns)
    assert (other.count.tolist(), other.mean.tolist()) == ([1, 2], [[7, 7, 7], [7, 7, 7]])
    unpack(other, wider, np.array([0, 1]), {"mean": b""})
    assert other.count.tolist() == [1, 2]
