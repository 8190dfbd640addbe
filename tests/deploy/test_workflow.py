from pathlib import Path

import yaml

from tests.deploy.checks import ROOT, run

FILE = ROOT / ".github" / "workflows" / "ci.yml"


def test_actionlint_finds_no_fault(actionlint: Path) -> None:
    checked = run(actionlint, "-shellcheck=", FILE)

    assert checked.returncode == 0, checked.stdout


def test_actionlint_would_find_one(actionlint: Path, tmp_path: Path) -> None:
    broken = tmp_path / "ci.yml"
    broken.write_text(FILE.read_text(encoding="utf-8").replace("timeout-minutes", "timeout-hours"))

    assert run(actionlint, "-shellcheck=", broken).returncode != 0


def test_the_workflow_may_only_read_and_runs_what_the_readme_says() -> None:
    workflow = yaml.safe_load(FILE.read_text(encoding="utf-8"))
    steps = [step for job in workflow["jobs"].values() for step in job["steps"]]

    assert workflow["permissions"] == {"contents": "read"}
    assert [step["run"] for step in steps if "run" in step][-2:] == ["make check", "make test"]
