"""The reference of drift outlives the worker that counted it."""

import logging
from pathlib import Path

import numpy as np
import pytest

from core.drift import DriftWatch
from processor.versions.drift_reference import DriftReferences
from runtime.models.repository import ModelRepository


def a_watch(version: str = "20260101T000000Z") -> DriftWatch:
    return DriftWatch(version=version, highest=1.0, memory=1000)


@pytest.fixture
def repository(tmp_path: Path) -> ModelRepository:
    return ModelRepository(tmp_path)


def test_a_worker_that_starts_after_a_shift_sees_it(repository: ModelRepository) -> None:
    random = np.random.default_rng(1)
    first, second = a_watch(), a_watch()
    first.add(random.beta(2, 8, 1500))
    DriftReferences(repository).exchange({"anomaly": first})

    DriftReferences(repository).exchange({"anomaly": second})
    assert second.index is None, "of the newest values there is none yet"
    second.add(random.beta(4, 6, 1500))

    assert second.index is not None
    assert second.index > 0.25


def test_nothing_is_kept_before_it_is_complete_and_nothing_adopted_of_another_version(
    repository: ModelRepository,
) -> None:
    random = np.random.default_rng(1)
    young, old, other = a_watch(), a_watch(), a_watch("20260201T000000Z")
    young.add(random.random(500))
    DriftReferences(repository).exchange({"anomaly": young})
    assert repository.read_document("drift-anomaly.json") is None

    old.add(random.random(1500))
    DriftReferences(repository).exchange({"anomaly": old})
    DriftReferences(repository).exchange({"anomaly": other})
    assert other.reference is None


@pytest.mark.parametrize("content", [b"", b"no json", b"[]", b'{"version": "20260101T000000Z", "highest": 1.0}'])
def test_a_reference_that_cannot_be_read_is_replaced(repository: ModelRepository, content: bytes) -> None:
    watch = a_watch()
    watch.add(np.random.default_rng(1).random(1500))
    repository.write_document("drift-anomaly.json", content)

    DriftReferences(repository).exchange({"anomaly": watch})

    assert b"counts" in (repository.read_document("drift-anomaly.json") or b"")


def test_a_repository_that_fails_is_logged_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "file").write_text("no folder")
    references = DriftReferences(ModelRepository(tmp_path / "file"))
    watch = a_watch()
    watch.add(np.random.default_rng(1).random(1500))

    with caplog.at_level(logging.WARNING, "nexova.processor"):
        references.exchange({"anomaly": watch})
        references.exchange({"anomaly": watch})

    assert [record.message.startswith("references of drift cannot be stored") for record in caplog.records] == [True]
    assert watch.index is not None
