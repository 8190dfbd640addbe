"""One word for one thing: names that were replaced appear in no definition, file name or public text."""

import ast
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
GLOSSARY = ROOT / "docs" / "glossary.md"
CODE = (
    "nexova",
    "schemas",
    "core",
    "runtime",
    "producer",
    "processor",
    "trainer",
    "api",
    "forwarder",
    "cli",
    "benchmarks",
    "tests",
)
# each with the name that took its place
REPLACED = {
    "lane": "BatchExecutor",
    "at_rest": "quiesced",
    "intake": "FetchHandler",
    "adopt_the_quiet": "adopt_idle_partitions",
    "fetch_the_lost": "refetch_stalled",
    "lineup": "ShadowSet",
    "trial": "shadow",
    "former": "previous",
    "probation": "CanaryCheck",
    "calls": "AlertCounts",
    "judged": "ScoredRows",
    "tally": "VersionCounters or RunStatistics",
    "elapse": "advance_time",
    "rehearse": "precompile",
    "rehearsal": "precompile",
    "ledger": "SeriesState",
    "ledgers": "SeriesState",
    "account": "ForecastAccuracy",
    "judge": "score_rows",
    "exam": "evaluation",
    "passport": "manifest",
    "hygiene": "cleaning",
    "told": "FeedbackHistory or published_after",
    "gate": "RequestGuard",
    "said": "PublishedOutputs",
    "befallen": "with_interruptions",
    "shelf": "ModelRepositoryBuilder",
}
# words of the field, or of plain English, as parts of longer names; they stay
KEPT = {"promotion_gate", "gate"}
PAGES = sorted([ROOT / "README.md", *(ROOT / "docs").glob("*.md")])
PAGE_WORDS = re.compile(
    r"\b(lane|intake|lineup|probation|rehears\w+|ledgers?|passports?|hygiene|tally)\b", re.IGNORECASE
)


def modules() -> Iterator[Path]:
    listing = subprocess.run(
        ["git", "ls-files", "-co", "--exclude-standard", "*.py"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    for name in listing.stdout.splitlines():
        if name.split("/")[0] in CODE and (ROOT / name).is_file():
            yield ROOT / name


def snake(name: str) -> str:
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower().strip("_")


def definitions(module: Path) -> Iterator[str]:
    """Return the names of a module's file, classes and functions; a test's sentence is prose."""
    yield snake(module.stem.removeprefix("test_"))
    for node in ast.walk(ast.parse(module.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef) and not node.name.startswith(
            "test_"
        ):
            yield snake(node.name)


def test_no_definition_has_a_replaced_name() -> None:
    found = {
        f"{module.relative_to(ROOT)}: {name} (now {REPLACED[name]})"
        for module in modules()
        for name in definitions(module)
        if name in REPLACED and name not in KEPT
    }

    assert sorted(found) == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_no_page_uses_a_replaced_name(page: Path) -> None:
    assert PAGE_WORDS.findall(page.read_text(encoding="utf-8")) == []


def test_the_glossary_has_one_sentence_for_each_term_in_order() -> None:
    rows = re.findall(r"^\| (?!Term|---)(.+?) \| (.+) \|$", GLOSSARY.read_text(encoding="utf-8"), flags=re.MULTILINE)
    terms = [term for term, _ in rows]

    assert len(terms) >= 40
    assert terms == sorted(terms)
    assert [sentence for _, sentence in rows if not sentence.endswith(".") or ". " in sentence] == []
