"""Metrics of matured forecasts and of energy counters."""

from core.arrays import Floats
from core.forecasting.accuracy import COLUMNS
from runtime.metrics import ProcessorMetrics
from schemas.energy import CounterSteps


def count_matured(metrics: ProcessorMetrics, added: Floats | None) -> None:
    """Add the sums of newly matured hours to the metrics. added: (d, columns) by day of the horizon; None: none."""
    if added is None:
        return
    for day, row in enumerate(added.tolist(), start=1):
        if not row[COLUMNS.points]:
            continue
        horizon = f"day_{day}"
        metrics.forecast_points.labels(horizon=horizon).inc(row[COLUMNS.points])
        metrics.forecast_actual.labels(horizon=horizon).inc(row[COLUMNS.actual])
        metrics.forecast_error.labels(horizon=horizon).inc(row[COLUMNS.error])
        metrics.forecast_covered.labels(horizon=horizon).inc(row[COLUMNS.covered])
        metrics.forecast_interval_score.labels(horizon=horizon).inc(row[COLUMNS.interval_score])


def count_steps(metrics: ProcessorMetrics, steps: CounterSteps) -> None:
    """Count resets, rollovers and unknown steps of an hour's energy counter."""
    for kind, number in (("reset", steps.resets), ("rollover", steps.rollovers), ("unknown", steps.unknown)):
        if number:
            metrics.meter_steps.labels(kind=kind).inc(number)
