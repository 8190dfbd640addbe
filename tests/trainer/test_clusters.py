"""Training on clusters, as a user does it: the same models as on the cores of this machine."""

import importlib.util
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from distributed import LocalCluster

from runtime.models.repository import ModelRepository

pytestmark = pytest.mark.long


def train(data: Path, models: Path, *options: str, **environment: str) -> subprocess.CompletedProcess[str]:
    where = ["--data", str(data), "--models", str(models), "--no-announce", "--json"]
    return subprocess.run(
        [sys.executable, "-m", "nexova", "train", "forecast", *where, *options],
        env=os.environ | environment,
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )


def document_of(models: Path, trained: subprocess.CompletedProcess[str]) -> bytes:
    assert trained.returncode == 0, trained.stderr
    version = json.loads(trained.stdout)["models"]["forecast"]["version"]
    return ModelRepository(models).load("forecast", version).files["model.json"]


@pytest.fixture(scope="module")
def of_this_machine(data_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> bytes:
    models = tmp_path_factory.mktemp("loky")
    return document_of(models, train(data_dir, models))


@pytest.fixture(scope="module")
def cluster() -> Iterator[LocalCluster]:
    # joblib does by itself what a cluster of one thread could do
    with LocalCluster(n_workers=2, threads_per_worker=1, host="127.0.0.1", dashboard_address="127.0.0.1:0") as running:
        yield running


def test_dask_fits_machines_on_the_cluster_that_its_address_names(
    cluster: LocalCluster, data_dir: Path, of_this_machine: bytes, tmp_path: Path
) -> None:
    before = cluster.scheduler.transition_counter
    trained = train(data_dir, tmp_path, "--backend", "dask", DASK_SCHEDULER_ADDRESS=cluster.scheduler_address)
    assert document_of(tmp_path, trained) == of_this_machine
    assert cluster.scheduler.transition_counter > before, "the cluster had nothing to do"


def test_dask_without_an_address_makes_a_cluster_of_this_machine(
    data_dir: Path, of_this_machine: bytes, tmp_path: Path
) -> None:
    assert document_of(tmp_path, train(data_dir, tmp_path, "--backend", "dask")) == of_this_machine


def test_a_dask_cluster_that_does_not_answer_is_a_failure_in_one_line(data_dir: Path, tmp_path: Path) -> None:
    nowhere = {"DASK_SCHEDULER_ADDRESS": "tcp://127.0.0.1:9", "DASK_DISTRIBUTED__COMM__TIMEOUTS__CONNECT": "1s"}
    trained = train(data_dir, tmp_path / "models", "--backend", "dask", **nowhere)
    assert trained.returncode == 1
    assert "--backend dask: no cluster answered (" in trained.stderr
    assert "tcp://127.0.0.1:9" in trained.stderr
    assert "see what DASK_SCHEDULER_ADDRESS says, or leave it at loky" in trained.stderr
    assert trained.stderr.count("\n") == 1
    assert not (tmp_path / "models").exists()


@pytest.mark.skipif(
    importlib.util.find_spec("ray") is None, reason="Ray is not installed: too heavy to be locked for this test alone"
)
def test_ray_fits_machines_on_a_cluster_of_this_machine(data_dir: Path, of_this_machine: bytes, tmp_path: Path) -> None:
    # else its workers only get what CPU others leave
    trained = train(data_dir, tmp_path, "--backend", "ray", RAY_worker_niceness="0")
    assert document_of(tmp_path, trained) == of_this_machine
