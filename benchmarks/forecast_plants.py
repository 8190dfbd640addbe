"""Forecasts of simulated plants: what a production plan is worth, and what the blend gains over its medians.

python -m benchmarks.forecast_plants [--plants 3] [--seed 0] [--origins 60] [--json]
"""

import argparse
import json
import os

import numpy as np

from core.arrays import DAY
from core.forecasting.engine import Calendar, HourlySeries, KnownInputs
from core.forecasting.engine.backtest import daily_origins, replayed
from core.forecasting.names import SEASONAL_MEDIAN
from tests.core.forecasting.plants import a_planned_plant, a_plant_of_unlike_days, an_idling_plant

HORIZON = 72


def wapes(series: HourlySeries, origins: int, inputs: KnownInputs | None = None) -> tuple[float, float]:
    """Return WAPE of the selection and of the seasonal median over the last daily origins."""
    places = daily_origins(series, horizon=HORIZON, count=origins, step=DAY)
    answers = list(
        replayed(
            series,
            origins=places,
            horizon=HORIZON,
            choose=lambda _: Calendar(),
            bounds=(0.0, np.inf),
            inputs=inputs,
        )
    )
    actual = series.at(places[:, None] + np.arange(HORIZON))
    selected = np.stack([answer.value for answer in answers])
    median = np.stack([answer.members[SEASONAL_MEDIAN] for answer in answers])
    size = float(np.abs(actual).sum())
    return float(np.abs(selected - actual).sum()) / size, float(np.abs(median - actual).sum()) / size


def main() -> None:
    """Print WAPE over 72 h for each plant, and by how much the plan and the selection lower it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--plants", type=int, default=3)
    parser.add_argument("--seed", type=int, default=0, help="seed of the first plant; the blend was chosen on 0 to 2")
    parser.add_argument("--origins", type=int, default=60)
    parser.add_argument("--json", action="store_true", help="print one JSON document")
    options = parser.parse_args()
    os.environ["OPENBLAS_NUM_THREADS"] = "1"
    seeds = range(options.seed, options.seed + options.plants)
    figures = []
    for seed in seeds:
        series, plan = a_planned_plant(days=200, seed=seed)
        without, _ = wapes(series, options.origins)
        planned, _ = wapes(series, options.origins, plan)
        figures.append({"plant": f"planned {seed}", "before": without, "after": planned})
    for seed in seeds:
        selected, median = wapes(an_idling_plant(days=365, seed=seed), options.origins)
        figures.append({"plant": f"idling {seed}", "before": median, "after": selected})
    for seed in seeds:
        selected, median = wapes(a_plant_of_unlike_days(days=365, seed=seed), options.origins)
        figures.append({"plant": f"unlike {seed}", "before": median, "after": selected})
    if options.json:
        print(json.dumps(figures))
        return
    print(f"WAPE of {HORIZON} h at {options.origins} daily origins")
    print("planned: without and with the plan; idling, unlike: seasonal median and selection")
    for one in figures:
        before, after = 100 * float(one["before"]), 100 * float(one["after"])
        print(f"  {one['plant']:<12}{before:>8.1f} %{after:>8.1f} %{100 * (after / before - 1):>8.1f} %")


if __name__ == "__main__":
    main()
