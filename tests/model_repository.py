"""A model repository with small forests in it, for tests that load, promote and damage versions."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.ensemble import IsolationForest, RandomForestRegressor

from core.detection.features import anomaly_feature_names, feature_fingerprint, maintenance_feature_names
from core.plant import Plant
from runtime.models.inference import AnomalyDocument, LoadedModels, RiskDocument, load_models
from runtime.models.manifest import Manifest, Promotion, Span, version_id
from runtime.models.repository import ModelRepository
from runtime.plants import load_plant
from trainer.export import export_isolation_forest, export_random_forest, path_length_scale

PLANT = load_plant(None)
ANOMALY_WIDTH, RISK_WIDTH = len(anomaly_feature_names(PLANT)), len(maintenance_feature_names(PLANT))
START = datetime(2026, 3, 1, 12, tzinfo=UTC)
ANCHORS = ((216.0, 0.0), (168.0, 0.5), (72.0, 1.5), (24.0, 2.5), (0.0, 3.0))


def some_rows(width: int, rows: int = 400, seed: int = 1) -> np.ndarray[Any, np.dtype[np.float32]]:
    return np.random.default_rng(seed).normal(size=(rows, width)).astype(np.float32)


def anomaly_files(*, scores: tuple[float, float, float] = (0.0, 0.5, 1.0)) -> dict[str, bytes]:
    """A forest of noise; `scores` are what it calls usual, rare and very rare readings."""
    forest = IsolationForest(n_estimators=20, random_state=1).fit(some_rows(ANOMALY_WIDTH))
    document = AnomalyDocument(
        feature_names=anomaly_feature_names(PLANT),
        path_length_scale=path_length_scale(forest),
        false_alarm_rate=0.01,
        knots_raw=(0.3, 0.6, 0.8),
        knots_score=scores,
    )
    return {"model.onnx": export_isolation_forest(forest), "model.json": document.model_dump_json().encode()}


def risk_files(*, always: float | None = None) -> dict[str, bytes]:
    """A forest of noise, or one that gives the same risk to all."""
    rows = some_rows(RISK_WIDTH)
    risk = np.clip(rows[:, 0] + 1, 0, 3) if always is None else np.full(len(rows), always)
    forest = RandomForestRegressor(n_estimators=20, random_state=1).fit(rows, risk)
    document = RiskDocument(feature_names=maintenance_feature_names(PLANT), anchors=ANCHORS)
    return {"model.onnx": export_random_forest(forest), "model.json": document.model_dump_json().encode()}


@dataclass(frozen=True, kw_only=True)
class ModelRepositoryBuilder:
    """A repository with one promoted version of each model, and helpers to add to it."""

    repository: ModelRepository
    path: Path

    def publish(self, name: str, files: dict[str, bytes], *, minutes: int = 0, **changes: Any) -> Path:
        """The folder of a new version, not promoted yet; its id is `minutes` after START."""
        at = START + timedelta(minutes=minutes)
        manifest = Manifest(
            **{
                "name": name,
                "version": version_id(at),
                "created_at": at,
                "plant": PLANT.fingerprint,
                "features": feature_fingerprint(PLANT),
                "trained_on": Span(start=START, end=START),
                "rows_used": 400,
            }
            | changes
        )
        self.repository.publish(manifest, files)
        return self.path / name / manifest.version

    def promote(self, folder: Path) -> Promotion:
        name, version = folder.parts[-2:]
        return self.repository.promote(name, version, at=datetime.now(UTC), reason="test")

    def put(self, name: str, files: dict[str, bytes], *, minutes: int = 0, **changes: Any) -> Path:
        """Publish and promote."""
        folder = self.publish(name, files, minutes=minutes, **changes)
        self.promote(folder)
        return folder

    def load(self, plant: Plant = PLANT) -> LoadedModels:
        return load_models(self.repository, plant=plant, features=feature_fingerprint(PLANT))
