"""Choice between a source's two readers: fast for records that match the mapping exactly, else general."""

from collections.abc import Callable

from core.plant import Plant, Source
from core.sources.mapping import MapRecord
from core.sources.record import Mapped, MappedReading, MappedValue, Raw
from core.sources.typed import typed_reader

ReadRecord = Callable[[Raw], MappedReading | MappedValue | Mapped]
"""Function from a record to its only reading or value, or else to its whole content; it never raises."""


def record_reader(source: Source, plant: Plant, general: MapRecord) -> ReadRecord:
    """Return the function that reads records. general: the compiled source; both readers give the same readings."""
    fast = typed_reader(source, plant)
    if fast is None:
        return general

    def read(raw: Raw) -> MappedReading | MappedValue | Mapped:
        return fast(raw) or general(raw)

    return read
