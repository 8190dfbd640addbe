"""The gate's rule, figure by figure."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

from runtime.models.manifest import Compared, Manifest, Span, Verdict
from runtime.models.repository import ModelBundle, ModelIncompatible, ModelRepository
from trainer.gate import decide, gate_verdict

AT = datetime(2026, 3, 1, 12, tzinfo=UTC)
EARLIER = Span(start=datetime(2026, 1, 1, tzinfo=UTC), end=datetime(2026, 1, 31, tzinfo=UTC))
HELD_OUT = Span(start=datetime(2026, 2, 1, tzinfo=UTC), end=datetime(2026, 2, 20, tzinfo=UTC))
BOUNDS = {"auc": 0.005, "f1": 0.02, "mae": 0.01, "r2": 0.01}
OLD, NEW = "20260301T110000Z", "20260301T120000Z"


def a_manifest(version: str = NEW, *, trained_on: Span = EARLIER) -> Manifest:
    return Manifest(
        name="anomaly",
        version=version,
        created_at=AT,
        plant="p",
        features="f",
        trained_on=trained_on,
        rows_used=1,
    )


CHALLENGER = ModelBundle(manifest=a_manifest(), files={})


@pytest.fixture
def repository(tmp_path: Path) -> ModelRepository:
    """One with a champion."""
    repository = ModelRepository(tmp_path)
    repository.publish(a_manifest(OLD), {"model.json": b"{}"})
    repository.promote("anomaly", OLD, at=AT, reason="test")
    return repository


@pytest.mark.parametrize(
    ("old", "new", "promote", "finding"),
    [
        ({"auc": 0.90, "f1": 0.80}, {"auc": 0.92, "f1": 0.85}, True, "better than"),
        ({"auc": 0.90, "f1": 0.80}, {"auc": 0.90, "f1": 0.80}, True, "as good as"),
        ({"auc": 0.90, "f1": 0.80}, {"auc": 0.91, "f1": 0.79}, True, "as good, within bounds, as"),
        ({"auc": 0.90, "f1": 0.80}, {"auc": 0.95, "f1": 0.70}, False, "worse (f1 by more than 0.02) than"),
        ({"auc": 0.90, "f1": 0.80}, {"auc": 0.898, "f1": 0.79}, False, "a little worse in every figure than"),
        ({"mae": 0.20, "r2": 0.80}, {"mae": 0.15, "r2": 0.85}, True, "better than"),
        ({"mae": 0.20, "r2": 0.80}, {"mae": 0.25, "r2": 0.85}, False, "worse (mae by more than 0.01) than"),
        ({}, {}, False, "without labels nothing tells it from"),
    ],
)
def test_a_challenger_takes_over_when_it_is_at_least_as_good_within_bounds(
    *, old: dict[str, float], new: dict[str, float], promote: bool, finding: str
) -> None:
    compared = {metric: Compared(champion=old[metric], challenger=new[metric]) for metric in old}
    assert decide(compared, BOUNDS) == (promote, finding)


def compared(repository: ModelRepository, *, old: float | None, new: float | None) -> Verdict:
    def evaluation(bundle: ModelBundle) -> dict[str, float | None]:
        assert bundle.manifest.version == OLD
        return {"auc": old, "precision": 1.0}

    return gate_verdict(
        CHALLENGER,
        mine={"auc": new, "precision": 0.1},
        bounds=BOUNDS,
        evaluation=evaluation,
        held_out=HELD_OUT,
        repository=repository,
    )


def test_the_reason_says_what_was_compared_and_how_to_overrule_it(repository: ModelRepository) -> None:
    verdict = compared(repository, old=0.9, new=0.8)
    assert verdict.reason == (
        f"worse (auc by more than 0.005) than {OLD}, on the same readings of 2026-02-01 to 2026-02-20: "
        f"auc 0.8000 against 0.9000; nexova models promote anomaly {NEW} makes it run all the same"
    )
    assert (verdict.promote, verdict.champion, verdict.held_out) == (False, OLD, HELD_OUT)
    assert verdict.compared == {"auc": Compared(champion=0.9, challenger=0.8)}


def test_a_figure_that_is_known_of_one_only_is_not_compared(repository: ModelRepository) -> None:
    verdict = compared(repository, old=None, new=0.8)
    assert not verdict.promote
    assert verdict.compared == {}


def test_the_reason_says_that_the_champion_has_seen_the_exam(tmp_path: Path) -> None:
    repository = ModelRepository(tmp_path)
    repository.publish(a_manifest(OLD, trained_on=HELD_OUT), {"model.json": b"{}"})
    repository.promote("anomaly", OLD, at=AT, reason="test")
    assert f"2026-02-20, some of which {OLD} was trained on: auc" in compared(repository, old=0.8, new=0.9).reason


def test_without_a_champion_the_challenger_runs(tmp_path: Path) -> None:
    verdict = compared(ModelRepository(tmp_path), old=None, new=0.1)
    assert (verdict.promote, verdict.reason) == (True, "the first version")


def test_a_champion_for_other_features_gives_way(repository: ModelRepository) -> None:
    def evaluation(_bundle: ModelBundle) -> dict[str, float | None]:
        raise ModelIncompatible("it reads other features; train again")

    verdict = gate_verdict(
        CHALLENGER, mine={"auc": 0.5}, bounds=BOUNDS, evaluation=evaluation, held_out=HELD_OUT, repository=repository
    )
    assert verdict.promote
    assert verdict.reason == "the champion cannot run: it reads other features; train again"


def test_a_champion_whose_file_was_cut_gives_way(repository: ModelRepository, tmp_path: Path) -> None:
    (tmp_path / "anomaly" / OLD / "model.json").write_bytes(b"{")
    verdict = compared(repository, old=0.9, new=0.5)
    assert verdict.promote
    assert verdict.reason.startswith(f"the champion cannot run: model anomaly {OLD}: model.json (1 bytes) has sha256")
