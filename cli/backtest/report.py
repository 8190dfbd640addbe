"""Results of `nexova backtest forecast` as a JSON document, a table and a file of forecasts."""

import csv
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

import numpy as np
import typer

from cli.backtest.run import SELECTED, Plan, Result, Results
from core.arrays import DAY, Ints
from core.forecasting.engine.backtest import BacktestForecasts
from core.forecasting.engine.scoring import scored
from core.forecasting.engine.series import LEVEL
from runtime.errors import FailureError

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_SPANS: Final = {"first_24h": DAY, "whole_horizon": None}
_COLUMNS: Final = ("origin", "timestamp", "horizon", "forecast", "lower", "upper", "model")
_SHARES: Final = {"wape": "WAPE", "mape": "MAPE", "cv_rmse": "CV-RMSE", "coverage": "cover"}
_UNITS: Final = {"rmse": "RMSE", "width": "width", "winkler": "Winkler"}


def as_document(plan: Plan, results: Results, *, file: str, column: str, step: int) -> dict[str, Any]:
    """Return all figures, shares as fractions, all others in the series' unit."""
    selected = results.models[0]
    models = {}
    for result in results.models:
        models[result.name] = {"origins": len(result.places), "seconds": _rounded(result.seconds)} | _scores(
            plan, result
        )
        if len(result.places) < len(plan.origins):
            models[result.name]["selected_at_the_same_origins"] = _scores(plan, _at(selected, result.places))
    return {
        "series": file,
        "column": column,
        "hours": len(plan.series.values),
        "horizon": plan.horizon,
        "step_hours": step,
        "origins": len(plan.origins),
        "first_origin": _time(int(plan.origins[0])),
        "last_origin": _time(int(plan.origins[-1])),
        "level": LEVEL,
        "holidays": results.holidays,
        "answered": results.answered,
        "models": models,
    }


def print_report(document: dict[str, Any]) -> None:
    """Print the figures as a table for people."""
    typer.echo(
        f"{document['series']}, {document['column']}: {document['origins']} origins every {document['step_hours']} h, "
        f"{document['first_origin']} to {document['last_origin']}, {document['horizon']} h ahead; "
        f"holidays: {document['holidays'] or 'none'}"
    )
    spans = list(_SPANS) if document["horizon"] > DAY else ["whole_horizon"]
    for span in spans:
        title = "first 24 h" if span == "first_24h" else f"all {document['horizon']} h"
        heads = "".join(f"{head:>9}" for head in (*_SHARES.values(), *_UNITS.values(), "origins", "seconds"))
        typer.echo(f"\n{title:<22}{heads}")
        for name, model in document["models"].items():
            typer.echo(f"{name:<22}{_cells(model[span])}{model['origins']:>9}{_number(model['seconds'])}")
            if same := model.get("selected_at_the_same_origins"):
                typer.echo(f"{'  selected, there':<22}{_cells(same[span])}{model['origins']:>9}")
    selected = ", ".join(f"{name} {count}" for name, count in document["answered"].items())
    typer.echo(f"\nselected was: {selected}. The members' time is part of the selection's.")


def write_forecasts(out: Path, plan: Plan, results: Results) -> None:
    """Write one row for each hour of each model's forecasts; `selected` is the forecast that would be published.

    Raises:
        FailureError: the file cannot be written.
    """
    partial = out.with_name(f".{out.name}.partial")
    try:
        with partial.open("w", encoding="utf-8", newline="") as file:
            rows = csv.writer(file)
            rows.writerow(_COLUMNS)
            for result in results.models:
                for row, place in enumerate(result.places.tolist()):
                    _write(rows, result, row, int(plan.origins[place]))
        partial.replace(out)
    except OSError as error:
        raise FailureError(f"{out} cannot be written ({error.strerror}); name another file") from None


def _write(rows: Any, result: Result, row: int, origin: int) -> None:
    forecasts = result.forecasts
    issued = _time(origin)
    for step, value in enumerate(forecasts.value[row].tolist()):
        if not np.isnan(value):
            lower, upper = (_cell(float(bound[row, step])) for bound in (forecasts.lower, forecasts.upper))
            rows.writerow((issued, _time(origin + step), step + 1, _cell(value), lower, upper, result.name))


def _scores(plan: Plan, result: Result) -> dict[str, Any]:
    actual, forecasts = plan.actual[result.places], result.forecasts
    return {
        span: asdict(scored(*(one[:, :end] for one in (actual, forecasts.value, forecasts.lower, forecasts.upper))))
        for span, end in _SPANS.items()
    }


def _at(result: Result, places: Ints) -> Result:
    forecasts = result.forecasts
    chosen = BacktestForecasts(
        value=forecasts.value[places], lower=forecasts.lower[places], upper=forecasts.upper[places]
    )
    return Result(name=SELECTED, forecasts=chosen, places=places, seconds=None)


def _cells(scores: dict[str, float | None]) -> str:
    shares = "".join(f"{'':>9}" if scores[name] is None else f"{scores[name]:>9.2%}" for name in _SHARES)
    return shares + "".join(_number(scores[name]) for name in _UNITS)


def _number(value: float | None) -> str:
    return f"{'':>9}" if value is None else f"{value:>9,.4g}" if abs(value) < 1e4 else f"{value:>9,.0f}"  # noqa: PLR2004


def _cell(value: float) -> str:
    return "" if np.isnan(value) else f"{value:.6g}"


def _rounded(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds, 2)


def _time(hour: int) -> str:
    return (_EPOCH + timedelta(hours=hour)).strftime("%Y-%m-%d %H:%M:%S")
