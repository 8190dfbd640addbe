"""The literal lines that other programs rely on."""

import subprocess
import sys
from pathlib import Path

import httpx
import pytest

import nexova
from runtime.children import free_port
from tests.cli.command import environment
from tests.e2e.workers import eventually

LINES = """
from nexova import ModelInference, MLModelTrainer, IndustrialDataGenerator

inference = ModelInference(model_dir="./models")
assert inference.forecast_model is None
assert inference.anomaly_model is None
assert inference.recommendation_model is None
print(inference.detect_anomalies(100, 45, 2)["model"])
print(inference.forecast_energy([100]*24, periods=12)["model"])
print(inference.recommend_maintenance(100, 45, 2)["model"])
"""
BIN = Path(sys.executable).parent


def python(code: str, folder: Path) -> str:
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=folder, env=environment(), capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_promised_lines_work_without_any_model(tmp_path: Path) -> None:
    assert python(LINES, tmp_path).split() == ["fallback", "seasonal_median", "fallback"]


def test_importing_the_package_loads_no_heavy_library(tmp_path: Path) -> None:
    heavy = {"numpy", "pandas", "sklearn", "onnxruntime", "numba", "faust", "fastapi"}
    loaded = python("import nexova, sys; print(*sys.modules)", tmp_path)

    assert heavy & set(loaded.split()) == set()


def test_every_promised_name_is_there_and_no_other() -> None:
    assert [name for name in nexova.__all__ if not isinstance(getattr(nexova, name), type)] == []
    assert set(nexova.__all__) <= set(dir(nexova))
    with pytest.raises(
        AttributeError, match=r"no attribute 'Inference'; it has IndustrialDataGenerator, MLModelTrainer"
    ):
        nexova.Inference  # noqa: B018


def test_the_module_is_the_command(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "nexova", "--version"]
    done = subprocess.run(command, cwd=tmp_path, env=environment(), capture_output=True, text=True, check=False)

    assert (done.returncode, done.stdout) == (0, "nexova 0.1.0\n")


@pytest.mark.parametrize(
    "command",
    [
        ["uvicorn", "--factory", "api.app:create_app", "--port", "{port}"],
        ["gunicorn", "-k", "uvicorn.workers.UvicornWorker", "api.app:create_app()", "--bind", "127.0.0.1:{port}"],
    ],
    ids=lambda command: command[0],
)
@pytest.mark.long
def test_other_servers_serve_the_api(command: list[str], tmp_path: Path) -> None:
    port = free_port()
    program, *arguments = [part.format(port=port) for part in command]
    url = f"http://127.0.0.1:{port}/health"
    with (
        (tmp_path / "log").open("wb") as log,
        subprocess.Popen(
            [BIN / program, *arguments], cwd=tmp_path, env=environment(), stdout=log, stderr=log
        ) as process,
    ):
        try:
            eventually(lambda: answers(url), seconds=60, what=(tmp_path / "log").read_text)
        finally:
            process.terminate()
            process.wait(30)


def answers(url: str) -> bool:
    try:
        return httpx.get(url, timeout=2).status_code == httpx.codes.OK
    except httpx.TransportError:
        return False
