"""Tables of per-machine numbers: one row for each machine, as arrays for the compiled rules."""

from collections.abc import Mapping
from typing import Any, Literal, NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

Table = TypeVar("Table", bound=tuple[NDArray[Any], ...])

Part = Literal["common", "own", "baseline"]
"""Record of a column: the machine's, independent of the plant file ("common"); the machine's, as long as the plant's
sensors are the same ("own"); or one that is written when a baseline was learned ("baseline")."""


class Column(NamedTuple):
    """One array of a table: element type, shape of one machine's cell, and the value of a new machine.

    stored: element type in the changelog, if it is narrower than in memory without loss.
    """

    dtype: str
    shape: tuple[int, ...] = ()
    fill: float = 0.0
    stored: str | None = None
    part: Part = "own"


Layout = Mapping[str, Column]


def allocate(kind: type[Table], layout: Layout, capacity: int) -> Table:
    """Return a table of `kind`, a NamedTuple of arrays with the fields of `layout`, for `capacity` machines."""
    arrays = {
        name: np.full((capacity, *column.shape), column.fill, dtype=column.dtype) for name, column in layout.items()
    }
    return kind(**arrays)


def grown(table: Table, layout: Layout, capacity: int) -> Table:
    """Return the same table with room for `capacity` machines."""
    larger = allocate(type(table), layout, capacity)
    for old, new in zip(table, larger, strict=True):
        new[: len(old)] = old
    return larger


def kept(table: Table, layout: Layout, rows: NDArray[np.int64], capacity: int) -> Table:
    """Return a table with room for `capacity` machines that begins with these rows."""
    smaller = allocate(type(table), layout, capacity)
    for old, new in zip(table, smaller, strict=True):
        new[: len(rows)] = old[rows]
    return smaller


def row_type(layouts: Mapping[str, Layout], part: Part) -> np.dtype[Any]:
    """Return the type of one machine's row in the changelog: the columns of `part` of all tables, without padding."""
    fields = [
        (f"{table}.{name}", f"<{column.stored or column.dtype}", column.shape)
        for table, layout in layouts.items()
        for name, column in layout.items()
        if column.part == part
    ]
    return np.dtype(fields)


def rows_of(tables: Mapping[str, Any], kind: np.dtype[Any], slots: NDArray[np.int64]) -> NDArray[Any]:
    """Return the columns of `kind` of these slots as structured rows, (n,)."""
    rows = np.empty(len(slots), kind)
    for name in kind.names or ():
        table, _, column = name.partition(".")
        rows[name] = getattr(tables[table], column)[slots]
    return rows


def put_rows(tables: Mapping[str, Any], slots: NDArray[np.int64], rows: NDArray[Any]) -> None:
    """Write structured rows, (n,), into these slots."""
    for name in rows.dtype.names or ():
        table, _, column = name.partition(".")
        getattr(tables[table], column)[slots] = rows[name]
