"""Charts as SVG paths, computed on the server: readable without a script, coloured by the style sheet alone.

Coordinates: 0 to 1000 from left to right, 0 to 100 from top to bottom; the element is stretched to its place, so no
text stands in it. Labels are HTML beside it.
"""

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Final

WIDTH: Final = 1000.0
HEIGHT: Final = 100.0
MOST_POINTS: Final = 600
_ROOM: Final = 0.08
_GAP_STEPS: Final = 5.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """A part of the time axis. x, width: in chart coordinates; kind: a style class."""

    x: float
    width: float
    kind: str
    title: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Chart:
    """One panel on a time axis from `start` to `end` (epoch seconds).

    points: (epoch seconds, value) for the crosshair. line, area: SVG paths; area is the interval around the line.
    band: (y, height) of the normal range. rules: y of horizontal lines with their style class.
    """

    start: float
    end: float
    low: float
    high: float
    line: str
    area: str = ""
    band: tuple[float, float] | None = None
    spans: tuple[Span, ...] = ()
    rules: tuple[tuple[float, str], ...] = ()
    mark: float | None = None
    bars: tuple[tuple[float, float, float], ...] = ()
    points: list[tuple[float, float]] = field(default_factory=list)


@dataclass(frozen=True, slots=True, kw_only=True)
class Axis:
    """A time axis, epoch seconds."""

    start: float
    end: float

    def x(self, moment: float) -> float:
        """Return the place of an instant, 0 to 1000."""
        return round((moment - self.start) / max(1e-9, self.end - self.start) * WIDTH, 2)

    def span(self, start: float, end: float, kind: str, title: str = "") -> Span | None:
        """Return the visible part of a span, at least a hair wide; None where nothing of it is visible."""
        left, right = max(0.0, self.x(start)), min(WIDTH, self.x(end))
        if left > WIDTH or right < 0.0 or right < left:
            return None
        return Span(x=left, width=max(2.0, round(right - left, 2)), kind=kind, title=title)


def line_chart(
    axis: Axis,
    samples: Sequence[tuple[float, float]],
    *,
    band: tuple[float, float] | None = None,
    interval: Sequence[tuple[float, float, float]] = (),
    rules: Iterable[tuple[float, str]] = (),
    spans: Iterable[Span | None] = (),
    mark: float | None = None,
    scale: tuple[float, float] | None = None,
) -> Chart:
    """Return the chart of (epoch seconds, value) samples in order of time.

    band: normal range in the samples' unit. interval: (epoch seconds, lower, upper). rules: (value, style class) of
    horizontal lines; those far outside the values do not stretch the scale. mark: an instant to point out. scale:
    fixed lowest and highest value.
    """
    shown = thinned([(t, v) for t, v in samples if math.isfinite(v)], MOST_POINTS)
    values = [v for _, v in shown] + [v for _, low, high in interval for v in (low, high)] + list(band or ())
    low, high = scale or _scale(values)
    rules = list(rules)
    if scale is None:
        reach = high - low
        near = [v for v, _ in rules if low - reach < v < high + reach]
        low, high = _scale([*values, *near]) if near else (low, high)

    def y(value: float) -> float:
        return round(HEIGHT - (value - low) / (high - low) * HEIGHT, 2)

    area = ""
    if interval:
        upper = [f"{axis.x(t):g},{y(high_):g}" for t, _, high_ in interval]
        lower = [f"{axis.x(t):g},{y(low_):g}" for t, low_, _ in reversed(interval)]
        area = "M" + " L".join([*upper, *lower]) + " Z"
    top = None if band is None else (max(0.0, y(band[1])), min(HEIGHT, y(band[0])))
    return Chart(
        start=axis.start,
        end=axis.end,
        low=low,
        high=high,
        line=_path(axis, shown, y),
        area=area,
        band=None if top is None else (top[0], max(0.0, round(top[1] - top[0], 2))),
        spans=tuple(one for one in spans if one is not None),
        rules=tuple((y(value), kind) for value, kind in rules if low <= value <= high),
        mark=None if mark is None else axis.x(mark),
        points=[(round(t, 1), float(f"{v:.5g}")) for t, v in shown],
    )


def bar_chart(axis: Axis, bars: Sequence[tuple[float, float, float]], *, chart: Chart) -> Chart:
    """Return `chart` with bars of (start, end, value) drawn on its scale."""

    def y(value: float) -> float:
        return round(HEIGHT - (value - chart.low) / (chart.high - chart.low) * HEIGHT, 2)

    drawn = []
    for start, end, value in bars:
        left, right = axis.x(start), axis.x(end)
        drawn.append((round(left + 0.1 * (right - left), 2), y(value), round(0.8 * (right - left), 2)))
    return Chart(
        start=chart.start,
        end=chart.end,
        low=chart.low,
        high=chart.high,
        line=chart.line,
        area=chart.area,
        spans=chart.spans,
        rules=chart.rules,
        mark=chart.mark,
        bars=tuple(drawn),
        points=chart.points,
    )


def sparkline(values: Sequence[float | None], *, low: float = 0.0, high: float = 1.0) -> str:
    """Return the SVG path of evenly spaced values in a box of 100 by 20; gaps where there is no value."""
    count = max(1, len(values) - 1)
    parts, pen = [], "M"
    for index, value in enumerate(values):
        if value is None or not math.isfinite(value):
            pen = "M"
            continue
        share = min(1.0, max(0.0, (value - low) / (high - low)))
        parts.append(f"{pen}{100 * index / count:.1f},{20 - 19 * share:.1f}")
        pen = "L"
    return " ".join(parts)


def thinned(samples: Sequence[tuple[float, float]], most: int) -> list[tuple[float, float]]:
    """Return at most about `most` samples that keep every extreme: lowest and highest of each stretch, in order."""
    if len(samples) <= most:
        return list(samples)
    size = math.ceil(len(samples) / (most / 2))
    kept: list[tuple[float, float]] = []
    for begin in range(0, len(samples), size):
        stretch = samples[begin : begin + size]
        ends = {min(stretch, key=lambda one: one[1]), max(stretch, key=lambda one: one[1])}
        kept += sorted(ends)
    return kept


def _scale(values: Sequence[float]) -> tuple[float, float]:
    if not values:
        return 0.0, 1.0
    low, high = min(values), max(values)
    room = (high - low) * _ROOM or max(abs(high) * 0.05, 0.5)
    return low - room, high + room


def _path(axis: Axis, samples: Sequence[tuple[float, float]], y: Callable[[float], float]) -> str:
    """A line with a gap wherever far more time passes than before it and after it."""
    steps = [later[0] - earlier[0] for earlier, later in pairwise(samples)]
    parts = []
    for index, (moment, value) in enumerate(samples):
        step = steps[index - 1] if index else math.inf
        around = (*steps[max(0, index - 2) : max(0, index - 1)], *steps[index : index + 1])
        gap = not index or (bool(around) and step > _GAP_STEPS * max(around))
        parts.append(f"{'M' if gap else 'L'}{axis.x(moment):g},{y(value):g}")
    return " ".join(parts)
