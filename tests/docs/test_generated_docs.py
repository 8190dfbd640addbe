from pathlib import Path

import pytest
from typer.testing import CliRunner

from cli.docs.command import app, render
from runtime.errors import FailureError, UsageError
from runtime.metrics import ProcessorMetrics, ProducerMetrics
from runtime.settings_reference import setting_rows
from schemas.topics import CATALOGUE

DOCS = Path(__file__).parents[2] / "docs"


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    for page in DOCS.glob("*.md"):
        (tmp_path / page.name).write_text(page.read_text(encoding="utf-8"), encoding="utf-8")
    return tmp_path


def call(*arguments: str) -> None:
    done = CliRunner().invoke(app, list(arguments))
    if done.exception:
        raise done.exception


def test_the_committed_pages_and_schemas_are_what_the_code_says() -> None:
    call("check", "--folder", str(DOCS))


def test_no_schema_is_left_behind_by_a_message_that_is_gone() -> None:
    assert set((DOCS / "reference").iterdir()) == {path for path in render(DOCS) if path.parent.name == "reference"}


def test_writing_twice_changes_nothing(copy: Path) -> None:
    call("write", "--folder", str(copy))
    first = {path: path.read_text(encoding="utf-8") for path in render(copy)}
    call("write", "--folder", str(copy))

    assert {path: path.read_text(encoding="utf-8") for path in render(copy)} == first
    call("check", "--folder", str(copy))


def test_check_names_the_page_that_somebody_changed_by_hand(copy: Path) -> None:
    call("write", "--folder", str(copy))
    page = copy / "topics.md"
    page.write_text(page.read_text(encoding="utf-8").replace("7 d", "8 d"), encoding="utf-8")

    with pytest.raises(FailureError, match=r"topics\.md: not what the code says; run `nexova docs write`"):
        call("check", "--folder", str(copy))


def test_words_outside_the_marks_are_peoples_own(copy: Path) -> None:
    page = copy / "topics.md"
    page.write_text("Mine.\n\n" + page.read_text(encoding="utf-8") + "\nAlso mine.\n", encoding="utf-8")

    call("write", "--folder", str(copy))

    text = page.read_text(encoding="utf-8")
    assert text.startswith("Mine.\n")
    assert text.endswith("\nAlso mine.\n")


def test_a_lost_mark_is_an_error_and_not_a_page_that_ages(copy: Path) -> None:
    page = copy / "metrics.md"
    page.write_text(page.read_text(encoding="utf-8").replace("generated: producer", "generated: producers"))

    with pytest.raises(UsageError, match="it must mark exactly: api, forwarder, processor, producer"):
        call("write", "--folder", str(copy))


def test_a_folder_without_pages_is_the_users_mistake(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"topics\.md: does not exist; run this at the top of a checkout"):
        call("check", "--folder", str(tmp_path))


def test_every_topic_metric_and_setting_is_on_its_page() -> None:
    pages = {name: (DOCS / name).read_text(encoding="utf-8") for name in ("topics.md", "metrics.md", "settings.md")}

    assert [topic.name for topic in CATALOGUE if f"`{topic.name}`" not in pages["topics.md"]] == []
    metrics = (*ProcessorMetrics.catalogue(), *ProducerMetrics.catalogue())
    assert [metric.name for metric in metrics if f"`{metric.name}`" not in pages["metrics.md"]] == []
    assert [row.variable for row in setting_rows() if f"`{row.variable}`" not in pages["settings.md"]] == []
