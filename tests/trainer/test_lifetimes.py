"""Hours to failure: what is learned from recorded lives, and what the stream makes of it."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cli.main import run
from core.assess import assess
from core.batch import ReadingBatch
from core.detection.features import extract, feature_fingerprint
from core.models import LifetimeModel, Models
from core.plant import Plant, parse_plant
from core.state import FleetState
from producer.lives import cut_off, engine_lives
from runtime.models.inference import MAINTENANCE, load_models
from runtime.models.lifetimes import inputs_of
from runtime.models.repository import ModelRepository
from trainer.lifetimes import cut_rows, folds_of, spread_of
from trainer.runs import plant_for, read_runs

SOME = ["unit", "cycle", "setting_1", "sensor_4", "sensor_9", "sensor_11", "sensor_12"]


@pytest.fixture(autouse=True)
def _no_broker(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NEXOVA_KAFKA__BOOTSTRAP_SERVERS", "127.0.0.1:9")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Lives of forty engines, others that are cut off, and the models that the command made of them."""
    made = tmp_path_factory.mktemp("lives")
    engine_lives(engines=40, seed=3)[SOME].to_csv(made / "lives.csv", index=False)
    test, left = cut_off(engine_lives(engines=20, seed=4)[SOME], seed=4)
    test.to_csv(made / "cut.csv", index=False)
    (made / "left.txt").write_text("\n".join(map(str, left)), encoding="utf-8")
    return made


@pytest.fixture(scope="module")
def printed(folder: Path) -> dict[str, object]:
    """What the command prints as JSON for these files."""
    import contextlib  # noqa: PLC0415  module-scoped capture
    import io  # noqa: PLC0415

    out = io.StringIO()
    options = [
        "--data",
        str(folder / "lives.csv"),
        "--test",
        str(folder / "cut.csv"),
        "--truth",
        str(folder / "left.txt"),
    ]
    with contextlib.redirect_stdout(out):
        assert (
            run(["train", "maintenance", *options, "--models", str(folder / "models"), "--json", "--no-announce"]) == 0
        )
    found: dict[str, object] = json.loads(out.getvalue())
    return found


def test_lives_teach_how_long_a_machine_has_left(printed: dict[str, object]) -> None:
    lifetimes = printed["lifetimes"]
    assert isinstance(lifetimes, dict)
    assert (lifetimes["unit"], lifetimes["cap"]) == ("cycles", 125)
    for part, machines in (("cross_validated", 40), ("test", 20)):
        figures = lifetimes[part]
        assert figures["machines"] == machines
        assert figures["rmse"] < 20, "a constant estimate is some 40 cycles off"
        assert figures["mae"] <= figures["rmse"]
    assert lifetimes["cross_validated"]["coverage"] == pytest.approx(0.8, abs=0.08)


def test_the_stream_foretells_what_the_trainer_measured(folder: Path, printed: dict[str, object]) -> None:
    plant, text = plant_for([folder / "lives.csv"], parse_plant(PLANT, source="test"), chosen=False)
    assert printed
    assert text is not None
    lives = read_runs([folder / "cut.csv"], plant).batch
    frame = extract(lives, plant=plant)
    repository = ModelRepository(folder / "models")
    loaded = load_models(repository, plant=plant, features=feature_fingerprint(plant))
    model = loaded.models.maintenance
    assert isinstance(model, LifetimeModel)
    state = FleetState(plant)
    order = np.argsort(lives.timestamps, kind="stable")
    seen: dict[str, float] = {}
    told = []
    for begin in range(0, len(order), 700):
        rows = order[begin : begin + 700]
        batch = ReadingBatch.from_columns(
            [lives.machine_ids[one] for one in lives.machine[rows]], lives.timestamps[rows], lives.values[rows], rows
        )
        shuffled = ReadingBatch(
            machine_ids=batch.machine_ids,
            machine=batch.machine,
            timestamps=batch.timestamps,
            values=batch.values,
            offsets=np.arange(begin, begin + len(rows)),
        )
        assessment = assess(shuffled, state=state, models=Models(maintenance=model), plant=plant)
        state = assessment.state
        told += assessment.recommendations
        for row, risk in zip(rows.tolist(), assessment.scores.risk.tolist(), strict=True):
            seen[str(row)] = risk
    offline = model.risk(frame.maintenance)
    assert [seen[str(row)] for row in range(len(lives))] == offline.tolist()
    worn = [one for one in told if one.hours_to_failure is not None]
    assert worn, "some of these engines are near their end"
    for one in worn:
        hours = one.hours_to_failure
        assert hours is not None
        assert hours.low <= hours.mid <= hours.high
    assert any(one.hours_to_failure is None for one in told), "a young engine's failure is not in sight"


PLANT = """
name = "elsewhere"
timezone = "UTC"
interval_seconds = 10
[[sensors]]
name = "vibration"
unit = "mm/s"
minimum = 0
maximum = 100
"""


def plain(values: np.ndarray, span: float) -> np.ndarray:
    """The slow average of hourly values, written as the definition says it."""
    average = values[0].copy()
    found = [average.copy()]
    for number, value in enumerate(values[1:], 1):
        average += (1 - np.exp(-1 / min(span, number + 1e-9))) * (value - average)
        found.append(average.copy())
    return np.array(found)


@settings(max_examples=20, deadline=None)
@given(st.lists(st.floats(0, 50), min_size=2, max_size=60))
def test_averages_follow_the_interval_of_the_data(values: list[float]) -> None:
    plant = parse_plant(PLANT.replace("= 10", "= 3600"), source="test")
    assert plant.average_hours == (3, 12, 36)
    batch = ReadingBatch.from_columns(["a"] * len(values), np.arange(len(values)) * 3600.0, np.array([values]).T)
    found = extract(batch, plant=plant).maintenance
    for column, span in enumerate(plant.average_hours):
        np.testing.assert_allclose(found[:, column], plain(np.array([values]).T, span)[:, 0], rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(found[:, 3], np.arange(len(values)), err_msg="running hours where no sensor counts them")


def test_a_day_between_readings_is_a_day_of_running() -> None:
    plant = parse_plant(PLANT.replace("= 10", "= 86400"), source="test")
    batch = ReadingBatch.from_columns(["a"] * 30, np.arange(30) * 86400.0, np.ones((30, 1)))
    assert extract(batch, plant=plant).maintenance[-1, 3] == pytest.approx(29 * 24)


def test_machines_are_held_out_whole_and_folds_do_not_change() -> None:
    machine = np.repeat(np.arange(23), 7)
    folds = folds_of(machine)
    assert all(len(set(folds[machine == one].tolist())) == 1 for one in range(23))
    assert set(folds.tolist()) == set(range(5))
    assert (folds_of(machine) == folds).all()
    assert (cut_rows(machine) == cut_rows(machine)).all()


def test_the_interval_holds_the_share_it_is_meant_to() -> None:
    chance = np.random.default_rng(0)
    truth = chance.uniform(0, 125, 4000)
    estimate = truth + chance.normal(0, 1 + truth / 10)
    ends = spread_of(estimate[:2000], truth[:2000]).around(estimate[2000:])
    inside = (truth[2000:] >= ends[:, 0]) & (truth[2000:] <= ends[:, 2])
    assert inside.mean() == pytest.approx(0.8, abs=0.04)


def test_a_column_of_the_graph_is_a_feature_or_a_difference() -> None:
    features = np.array([[1, 5, 9], [2, 2, 4]], dtype=np.float32)
    assert inputs_of(features, ((2, None), (1, 0))).tolist() == [[9, 4], [4, 0]]


def test_the_original_layout_is_read_without_a_heading(tmp_path: Path) -> None:
    lives = engine_lives(engines=2, seed=1)
    (tmp_path / "train_FD001.txt").write_text(
        "\n".join(" ".join(f"{value:g}" for value in row) + "  " for row in lives.to_numpy()), encoding="utf-8"
    )
    plant, text = plant_for([tmp_path / "train_FD001.txt"], parse_plant(PLANT, source="test"), chosen=False)
    assert text is not None
    runs = read_runs([tmp_path / "train_FD001.txt"], plant)
    assert len(plant.sensors) == 24
    assert len(runs.batch) == len(lives)
    assert runs.hours_to_failure.min() == 0
    assert runs.hours_to_failure.max() == lives["cycle"].max() - 1


def test_stated_hours_to_failure_are_believed(tmp_path: Path, plant: Plant) -> None:
    rows = pd.DataFrame(
        {"machine": ["a", "a", "b", "b"], "timestamp": ["2026-03-01T00:00:00Z", "2026-03-01T01:00:00Z"] * 2}
        | {"heat": [1.0, 2.0, 3.0, 4.0], "RUL": [40, 39, 7, ""]}
    )
    rows.to_csv(tmp_path / "some.csv", index=False)
    drafted, _ = plant_for([tmp_path / "some.csv"], plant, chosen=False)
    runs = read_runs([tmp_path / "some.csv"], drafted)
    assert runs.recorded
    assert not runs.cycles
    assert runs.hours_to_failure.tolist() == [40, 39, 7, np.inf]


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["--data", "lives.csv", "--cap", "0"], "--cap 0: must be above 0"),
        (["--data", "lives.csv", "--cap", "nan"], "--cap nan: must be above 0"),
        (
            ["--data", "lives.csv", "--truth", "left.txt"],
            "--truth left.txt: belongs to a test table, which is missing",
        ),
        (
            ["--data", "lives.csv", "--test", "cut.csv", "--truth", "few.txt"],
            "2 times to failure, the test file has 20",
        ),
        (["--data", "lives.csv", "--test", "cut.csv", "--truth", "words.txt"], "'soon' is no number"),
        (["--data", "lives.csv", "--test", "none.csv"], "none.csv: there is no such file"),
        (["--data", "nameless.csv"], "has no column of machines"),
        (["--data", "timeless.csv"], "has no column of times or cycles"),
        (["--data", "few.csv"], "machines with a recorded failure, 10 are needed"),
        (["--data", "lives.csv", "--plant", "skab"], "no column is a sensor of plant"),
        (["--from-kafka", "--cap", "5"], "--cap 5.0: goes with train maintenance --data TABLE"),
    ],
)
def test_what_cannot_be_used_is_one_line_and_exit_code_2(
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
    arguments: list[str],
    complaint: str,
) -> None:
    monkeypatch.chdir(folder)
    lives = pd.read_csv("lives.csv")
    lives[lives["unit"] <= 2].to_csv("few.csv", index=False)
    lives.head().drop(columns="unit").to_csv("nameless.csv", index=False)
    lives.head().drop(columns="cycle").to_csv("timeless.csv", index=False)
    Path("few.txt").write_text("1\n2\n", encoding="utf-8")
    Path("words.txt").write_text("1\nsoon\n", encoding="utf-8")
    assert run(["train", "maintenance", *arguments, "--models", "other"]) == 2
    error = capfd.readouterr().err
    assert complaint in error
    assert error.count("\n") == 1
    assert not Path("other", MAINTENANCE).exists()
