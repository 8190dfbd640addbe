import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.deploy.checks import ROOT, run

FOLDER = ROOT / ".github" / "workflows"
FILES = sorted(FOLDER.glob("*.yml"))
ZIZMOR = Path(sys.executable).with_name("zizmor")
ASKED_FOR = {"ci", "ml-pipeline", "integration-tests", "model-validation", "release"}


def workflow(name: str) -> dict[Any, Any]:
    document: dict[Any, Any] = yaml.safe_load((FOLDER / f"{name}.yml").read_text(encoding="utf-8"))
    return document


def commands(name: str) -> list[str]:
    return [step["run"] for job in workflow(name)["jobs"].values() for step in job["steps"] if "run" in step]


def test_all_workflows_are_there() -> None:
    assert {file.stem for file in FILES} == ASKED_FOR


def test_actionlint_finds_no_fault(actionlint: Path) -> None:
    checked = run(actionlint, "-shellcheck=", *FILES)

    assert checked.returncode == 0, checked.stdout


def test_actionlint_would_find_one(actionlint: Path, tmp_path: Path) -> None:
    broken = tmp_path / "ci.yml"
    broken.write_text((FOLDER / "ci.yml").read_text(encoding="utf-8").replace("timeout-minutes", "timeout-hours"))

    assert run(actionlint, "-shellcheck=", broken).returncode != 0


def test_zizmor_finds_no_weakness() -> None:
    checked = run(ZIZMOR, "--offline", "--no-progress", FOLDER)

    assert checked.returncode == 0, checked.stdout + checked.stderr


def test_zizmor_would_find_a_tag_that_somebody_can_move(tmp_path: Path) -> None:
    folder = tmp_path / ".github" / "workflows"
    folder.mkdir(parents=True)
    moved = re.sub(r"checkout@[0-9a-f]{40}", "checkout@v5", (FOLDER / "release.yml").read_text(encoding="utf-8"))
    (folder / "release.yml").write_text(moved, encoding="utf-8")

    assert "unpinned-uses" in run(ZIZMOR, "--offline", "--no-progress", folder).stdout


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_actions_are_pinned_to_commits_and_named_by_their_release(file: Path) -> None:
    uses = re.findall(r"uses: (\S+)(.*)", file.read_text(encoding="utf-8"))

    assert uses
    for action, comment in uses:
        assert re.fullmatch(r"actions/[a-z-]+@[0-9a-f]{40}", action), action
        assert re.fullmatch(r" # v\d+\.\d+\.\d+", comment), action


def test_one_action_has_one_version_everywhere() -> None:
    used = {one for file in FILES for one in re.findall(r"uses: (\S+)", file.read_text(encoding="utf-8"))}

    assert len({one.partition("@")[0] for one in used}) == len(used)


@pytest.mark.parametrize("name", sorted(ASKED_FOR))
def test_a_workflow_may_do_nothing_that_a_job_did_not_ask_for(name: str) -> None:
    document = workflow(name)

    writes = {
        (job, scope)
        for job, body in document["jobs"].items()
        for scope, right in body.get("permissions", {}).items()
        if right == "write"
    }
    assert document["permissions"] in ({}, {"contents": "read"})
    assert writes == {
        "model-validation": {("registry", "contents")},
        "release": {("build", "packages"), ("publish", "contents")},
    }.get(name, set())


@pytest.mark.parametrize("name", sorted(ASKED_FOR))
def test_every_step_is_a_target_that_runs_anywhere(name: str) -> None:
    targets = set(re.findall(r"^([a-z-]+):.*## ", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    targets |= set(
        re.findall(r"^([a-z-]+):.*## ", (ROOT / "deploy" / "pipeline.mk").read_text(encoding="utf-8"), re.MULTILINE)
    )
    for command in commands(name):
        if command.startswith("sudo apt-get"):
            continue  # what a developer's machine has
        called = re.match(r"make ([a-z-]+)", command)
        assert called, command
        assert called[1] in targets, command


@pytest.mark.parametrize("name", sorted(ASKED_FOR))
def test_make_knows_every_target_with_its_variables(name: str) -> None:
    for command in commands(name):
        if command.startswith("make "):
            words = [re.sub(r"\$\{?\w+[^ \"]*", "x", word).replace('"', "") for word in command.split()]
            done = subprocess.run(
                [*words, "--dry-run", "--no-print-directory"], cwd=ROOT, capture_output=True, text=True, check=False
            )
            assert done.returncode == 0, done.stderr


def test_triggers_are_those_that_were_asked_for() -> None:
    on = {name: workflow(name)[True] for name in ASKED_FOR}  # YAML reads the key `on` as true

    assert on["ml-pipeline"]["push"] == {"branches": ["main"]}
    assert [each["cron"] for each in on["ml-pipeline"]["schedule"]] == ["0 3 * * 1"]
    assert [each["cron"] for each in on["model-validation"]["schedule"]] == ["0 2 * * *"]
    assert "workflow_dispatch" in on["ml-pipeline"]
    assert "workflow_dispatch" in on["model-validation"]
    assert "pull_request" in on["integration-tests"]


def test_the_checks_run_what_the_readme_says() -> None:
    assert commands("ci")[-2:] == ["make check", "make test"]
    assert [re.sub(" .*", "", one[5:]) for one in commands("ml-pipeline")] == [
        "data", "train", "test", "image", "artefacts",
    ]  # fmt: skip
    assert [re.sub(" .*", "", one[5:]) for one in commands("model-validation")] == [
        "models-fetch", "validate-models", "validate-endpoints", "validation-report", "registry-commit",
    ]  # fmt: skip
