"""`pip install .` into an environment of its own, used outside the repository."""

import json
import os
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

pytestmark = [pytest.mark.long, pytest.mark.timeout(600)]


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the programs' folder of an environment with Nexova in it; its dependencies are borrowed from ours."""
    home = tmp_path_factory.mktemp("installed") / "env"
    run(sys.executable, "-m", "venv", home)
    packages = Path(
        run(home / "bin" / "python", "-c", "import sysconfig; print(sysconfig.get_path('purelib'))").strip()
    )
    # a path added by a .pth file does not execute the .pth files in it, so our own editable install stays out
    (packages / "borrowed.pth").write_text(sysconfig.get_path("purelib") + "\n")
    run(home / "bin" / "python", "-m", "pip", "install", "--no-deps", "--no-build-isolation", "--no-index", ROOT)
    return home / "bin"


def run(*command: str | Path, folder: Path | None = None) -> str:
    own = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    done = subprocess.run(command, cwd=folder, env=own, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_the_packages_and_plants_come_from_the_wheel(installed: Path, tmp_path: Path) -> None:
    code = "import core; from runtime.plants import shipped_plants as s; print(core.__file__, *s().values())"
    found = run(installed / "python", "-c", code, folder=tmp_path).split()

    assert [path for path in found if not path.startswith(str(installed.parent))] == []
    assert [Path(path).name for path in found[1:]] == ["default.toml", "skab.toml"]


def test_the_demo_runs_outside_the_repository(installed: Path, tmp_path: Path) -> None:
    report = tmp_path / "report.json"
    run(installed / "nexova", "demo", "--duration", "30", "--report", report, folder=tmp_path)

    assert json.loads(report.read_text())["readings_produced"] > 0
