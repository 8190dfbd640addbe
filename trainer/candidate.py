"""Candidate versions: trained models before their publication, with the content of their manifest."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from importlib.metadata import version
from typing import Any, Final

from core.arrays import Floats
from runtime.models.manifest import Span

# called with what is being done and the share of it that is done, in [0, 1]
Progress = Callable[[str, float], None]

METRICS: Final = "metrics.json"
NOT_RUNNING: Final = "not running, or in warm-up"
_LIBRARIES: Final = ("scikit-learn", "onnx", "onnxruntime", "numpy", "prophet")


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """A trained model as files, with its origin."""

    name: str
    files: Mapping[str, bytes]
    trained_on: Span
    rows_used: int
    rows_excluded: Mapping[str, int]
    parameters: Mapping[str, Any] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


def libraries() -> dict[str, str]:
    """Return the versions of the packages that a model depends on."""
    return {name: version(name) for name in _LIBRARIES}


def span_of(timestamps: Floats) -> Span:
    """Return the first and last of some epoch seconds."""
    start, end = (datetime.fromtimestamp(float(moment), UTC) for moment in (timestamps.min(), timestamps.max()))
    return Span(start=start, end=end)


def no_progress(_step: str, _share: float) -> None:
    """Ignore the progress."""
