import json
import subprocess
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from deploy.validation.__main__ import main
from deploy.validation.findings import Finding, read_findings, write_findings
from deploy.validation.models import LONGEST_AGE, validate_models
from deploy.validation.report import render_page, render_report
from runtime.models.repository import ModelRepository
from runtime.plants import load_plant
from tests.deploy.checks import ROOT
from tests.model_repository import START, ModelRepositoryBuilder, anomaly_files, risk_files

SECOND = timedelta(seconds=1)
NOW = datetime(2026, 4, 1, tzinfo=UTC)
GOOD = Finding(subject="anomaly f1", passed=True, detail="0.95, at least 0.8")
BAD = Finding(subject="GET /alerts", passed=False, detail="500 in 12 ms")


def found_in(root: str | Path, *, now: datetime | None = None) -> list[Finding]:
    plant = load_plant(None)
    return list(validate_models(ModelRepository(root), plant=plant, now=now or NOW))


def test_a_repository_without_models_does_not_pass(tmp_path: Path) -> None:
    findings = found_in(tmp_path)

    assert findings
    assert not any(one.passed for one in findings)


def shelf_of(folder: Path, **metrics: float) -> ModelRepositoryBuilder:
    builder = ModelRepositoryBuilder(repository=ModelRepository(folder), path=folder)
    builder.put("anomaly", anomaly_files(), metrics={"f1": 0.95, "auc": 0.99} | metrics)
    builder.put("maintenance", risk_files(), metrics={"r2": 0.9, "mae": 0.1})
    return builder


def test_models_that_are_whole_good_and_young_pass_and_old_ones_do_not(tmp_path: Path) -> None:
    shelf_of(tmp_path)

    young, old = found_in(tmp_path, now=START + LONGEST_AGE), found_in(tmp_path, now=START + LONGEST_AGE + SECOND)

    assert [one for one in young if not one.passed] == []
    assert [one.subject for one in old if not one.passed] == ["anomaly age", "maintenance age"]


def test_a_model_below_its_bound_does_not_pass(tmp_path: Path) -> None:
    shelf_of(tmp_path, f1=0.79)

    assert [one.subject for one in found_in(tmp_path, now=START) if not one.passed] == ["anomaly f1"]


def test_a_damaged_model_does_not_pass_although_the_one_before_would_run(tmp_path: Path) -> None:
    builder = shelf_of(tmp_path)
    damaged = builder.put("anomaly", anomaly_files(), minutes=5, metrics={"f1": 0.95, "auc": 0.99})
    (damaged / "model.onnx").write_bytes(b"cut")

    failed = [one for one in found_in(tmp_path, now=START) if not one.passed]

    assert any("was cut or changed" in one.detail for one in failed), failed


def test_a_step_that_left_no_findings_is_a_failure(tmp_path: Path) -> None:
    write_findings([GOOD], tmp_path, "models")

    assert read_findings(tmp_path, "models") == (GOOD,)
    (missing,) = read_findings(tmp_path, "endpoints")
    assert not missing.passed


def test_the_report_puts_what_failed_first() -> None:
    page = render_report({"endpoints": [GOOD, BAD]}, at=NOW)

    assert "2 checks, 1 failed" in page
    assert page.index("GET /alerts") < page.index("anomaly f1")


def test_the_registry_page_says_when_it_was_validated_and_what_failed() -> None:
    page = render_page("# Models\n", {"models": [GOOD], "endpoints": [BAD]}, at=NOW)

    assert page.startswith("# Models\n")
    assert "2026-04-01: 2 checks, 1 failed." in page
    assert "- GET /alerts: 500 in 12 ms" in page


def test_the_report_fails_where_a_step_failed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_findings([GOOD], tmp_path, "models")
    write_findings([BAD], tmp_path, "endpoints")
    page = tmp_path / "MODEL_REGISTRY.md"

    code = main(["report", "--models", str(tmp_path / "models"), "--out", str(tmp_path), "--page", str(page)])

    assert code == 1
    assert "FAILED  GET /alerts" in capsys.readouterr().out
    assert "1 failed" in page.read_text(encoding="utf-8")
    assert json.loads((tmp_path / "validation-endpoints.json").read_text())[0]["passed"] is False


def test_the_registry_is_committed_and_pushed_only_when_it_changed(tmp_path: Path) -> None:
    remote, clone = tmp_path / "remote.git", tmp_path / "clone"

    def git(*arguments: str, at: Path = clone) -> str:
        identity = ["-c", "user.name=t", "-c", "user.email=t@example.com"]
        done = subprocess.run(["git", *identity, *arguments], cwd=at, capture_output=True, text=True, check=True)
        return done.stdout

    def commit_registry() -> None:
        subprocess.run(
            ["make", "--no-print-directory", "registry-commit", "PUSH=main"],
            cwd=clone,
            env={
                "PATH": "/usr/local/bin:/usr/bin:/bin",
                **{
                    f"GIT_{who}_{what}": "t@example.com"
                    for who in ("AUTHOR", "COMMITTER")
                    for what in ("NAME", "EMAIL")
                },
            },
            check=True,
        )

    (tmp_path / ".gitconfig").write_text("[user]\nname = t\nemail = t@example.com\n")
    git("init", "--quiet", "--bare", "--initial-branch=main", str(remote), at=tmp_path)
    git("clone", "--quiet", str(remote), str(clone), at=tmp_path)
    (clone / "deploy").mkdir()
    (clone / "Makefile").write_text((ROOT / "Makefile").read_text(encoding="utf-8"))
    (clone / "deploy" / "pipeline.mk").write_text((ROOT / "deploy" / "pipeline.mk").read_text(encoding="utf-8"))
    (clone / "MODEL_REGISTRY.md").write_text("# Models\n")
    git("add", ".")
    git("commit", "--quiet", "--message", "first")

    commit_registry()
    unchanged = git("rev-list", "--count", "main", at=remote)
    (clone / "MODEL_REGISTRY.md").write_text("# Models\n\nvalidated\n")
    commit_registry()

    assert (unchanged.strip(), git("rev-list", "--count", "main", at=remote).strip()) == ("1", "2")
    assert "validated" in git("show", "main:MODEL_REGISTRY.md", at=remote)
