"""A source's two ways: records that are exactly as it says take the short one, all others the long one."""

from collections.abc import Callable

from core.plant import Plant, Source
from core.sources.mapping import MapRecord
from core.sources.record import Mapped, MappedReading, MappedValue, Raw
from core.sources.typed import typed_reader

ReadRecord = Callable[[Raw], MappedReading | MappedValue | Mapped]
"""From a record to the only reading or value in it, or else to all that it holds; it never raises."""


def record_reader(source: Source, plant: Plant, slow: MapRecord) -> ReadRecord:
    """Return the function that reads records. slow: the compiled source; both ways lead to the same readings."""
    fast = typed_reader(source, plant)
    if fast is None:
        return slow

    def read(raw: Raw) -> MappedReading | MappedValue | Mapped:
        return fast(raw) or slow(raw)

    return read
