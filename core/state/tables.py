"""Tables of per-machine numbers: one row a machine, as arrays that compiled rules can walk."""

from collections.abc import Mapping
from typing import Any, NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

Table = TypeVar("Table", bound=tuple[NDArray[Any], ...])


class Column(NamedTuple):
    """One array of a table: element type, shape of one machine's cell, and the value of a new machine."""

    dtype: str
    shape: tuple[int, ...] = ()
    fill: float = 0.0


Layout = Mapping[str, Column]


def allocate(kind: type[Table], layout: Layout, capacity: int) -> Table:
    """A table of `kind`, a NamedTuple of arrays with the fields of `layout`, for `capacity` machines."""
    arrays = {
        name: np.full((capacity, *column.shape), column.fill, dtype=column.dtype) for name, column in layout.items()
    }
    return kind(**arrays)


def grown(table: Table, layout: Layout, capacity: int) -> Table:
    """The same table with room for `capacity` machines."""
    larger = allocate(type(table), layout, capacity)
    for old, new in zip(table, larger, strict=True):
        new[: len(old)] = old
    return larger


def pack(table: Table, slots: NDArray[np.int64]) -> dict[str, bytes]:
    """The rows of `slots`, column by column, as bytes."""
    names = table._fields  # type: ignore[attr-defined]
    return {name: array[slots].tobytes() for name, array in zip(names, table, strict=True)}


def unpack(table: Table, layout: Layout, slots: NDArray[np.int64], packed: Mapping[str, bytes]) -> None:
    """Puts packed rows into `slots`. A column that was not packed, or in another shape, keeps its fill."""
    for name, array in zip(table._fields, table, strict=True):  # type: ignore[attr-defined]
        column = layout[name]
        values = np.frombuffer(packed.get(name, b""), dtype=column.dtype)
        shape = (len(slots), *column.shape)
        if values.size == np.prod(shape):
            array[slots] = values.reshape(shape)
