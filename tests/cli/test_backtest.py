import csv
import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from cli.main import run
from core.forecasting.names import CANDIDATES
from runtime.forecasting.lightgbm import LightGbm
from tests.cli.command import nexova
from tests.core.forecasting.courses import a_week_of
from tests.core.forecasting.plants import a_planned_plant

DAYS = 75


@pytest.fixture
def plant(tmp_path: Path) -> Path:
    path = tmp_path / "plant.csv"
    times = pd.date_range("2026-01-05", periods=DAYS * 24, freq="h")
    pd.DataFrame({"timestamp": times, "value": a_week_of(DAYS)}).to_csv(path, index=False)
    return path


def test_a_backtest_scores_the_selection_and_all_it_was_compared_with(plant: Path) -> None:
    done = nexova(
        "backtest", "forecast", str(plant), "--origins", "5", "--sparse", "2", "--out", "out.csv", "--json",
        folder=plant.parent,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
    document = json.loads(done.stdout)
    assert (document["origins"], document["horizon"], document["column"]) == (5, 72, "value")
    models = document["models"]
    assert set(models) >= {"selected", "seasonal_median", "ridge", "prophet", "naive_week"}
    assert not models.keys() & set(CANDIDATES)  # slow, and not everybody has them
    assert models["selected"]["first_24h"]["hours"] == 5 * 24
    assert 0 < models["selected"]["whole_horizon"]["wape"] < 0.2
    assert models["prophet"]["origins"] == 2
    assert models["prophet"]["selected_at_the_same_origins"]["whole_horizon"]["hours"] == 2 * 72

    with (plant.parent / "out.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    own = [row for row in rows if row["model"] == "selected"]
    assert len(own) == 5 * 72
    assert list(own[0]) == ["origin", "timestamp", "horizon", "forecast", "lower", "upper", "model"]
    assert (own[0]["horizon"], own[0]["origin"]) == ("1", own[0]["timestamp"])
    actual = pd.read_csv(plant, index_col="timestamp")["value"]
    errors = [abs(float(row["forecast"]) - actual[row["timestamp"]]) for row in own]
    values = [actual[row["timestamp"]] for row in own]
    assert np.sum(errors) / np.sum(values) == pytest.approx(models["selected"]["whole_horizon"]["wape"], rel=1e-4)


def test_a_backtest_for_people_is_a_table(plant: Path) -> None:
    done = nexova(
        "backtest", "forecast", str(plant), "--origins", "2", "--models", "seasonal_median", "--horizon", "24",
        folder=plant.parent,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
    assert "all 24 h" in done.stdout
    assert "first 24 h" not in done.stdout
    assert [line.split()[0] for line in done.stdout.splitlines()[3:5]] == ["selected", "seasonal_median"]


def test_a_plan_from_a_file_is_used_and_measured_against_none(tmp_path: Path) -> None:
    series, plan = a_planned_plant(days=100)
    times = pd.date_range("2021-01-04", periods=len(series.values), freq="h")
    pd.DataFrame({"time": times, "kwh": series.values}).to_csv(tmp_path / "plant.csv", index=False)
    pd.DataFrame({"time": times, "production": plan.values[0]}).to_csv(tmp_path / "plan.csv", index=False)
    done = nexova(
        "backtest", "forecast", "plant.csv", "--known", "plan.csv", "--origins", "8", "--models", "seasonal_median",
        "--json", folder=tmp_path,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
    models = json.loads(done.stdout)["models"]
    wape = {name: model["whole_horizon"]["wape"] for name, model in models.items()}
    assert wape["selected"] < 0.8 * wape["without_inputs"]


@pytest.mark.parametrize(
    ("more", "words"),
    [
        (["--step", "90min"], "must be whole hours"),
        (["--models", "oracle"], "--models: oracle is none"),
        (["--column", "x"], "--column x"),
        (["--known", "nowhere.csv"], "nowhere.csv"),
        (["--holidays", "Atlantis"], "is no country"),
        (["--out", "nowhere/out.csv"], "its folder does not exist"),
        (["--horizon", "0"], "Invalid value for '--horizon'"),
    ],
)
def test_what_cannot_be_is_one_line_and_exit_code_2(
    plant: Path, more: list[str], words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["backtest", "forecast", str(plant), "--origins", "1", *more]) == 2
    out, error = capsys.readouterr()
    assert words in error
    assert (out, error.count("\n")) == ("", 1)


def test_a_series_that_is_too_short_says_what_is_needed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    short = tmp_path / "short.csv"
    short.write_text("t,v\n" + "\n".join(f"2026-01-01 {hour:02d}:00,1" for hour in range(24)))
    assert run(["backtest", "forecast", str(short)]) == 2
    assert "24 hours are too few" in capsys.readouterr().err


@pytest.mark.long
def test_challengers_are_scored_at_a_few_origins_beside_the_selection(plant: Path) -> None:
    done = nexova(
        "backtest", "forecast", str(plant), "--origins", "3", "--sparse", "1", "--models", "mstl,lightgbm", "--json",
        folder=plant.parent,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
    models = json.loads(done.stdout)["models"]
    assert list(models) == ["selected", "lightgbm", "mstl"]
    for name in ("lightgbm", "mstl"):
        assert models[name]["origins"] == 1
        assert 0 < models[name]["whole_horizon"]["wape"] < 0.5


def test_a_challenger_that_is_not_installed_is_refused_with_the_extra_that_brings_it(
    plant: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(LightGbm, "module", "no_such_library")
    assert run(["backtest", "forecast", str(plant), "--origins", "1", "--models", "ridge,lightgbm"]) == 2
    assert "pip install 'nexova[forecasters]'" in capsys.readouterr().err
