"""Time is an argument: a clock is read where a process is composed, or at a named edge, and nowhere else."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
READS = {
    ("time", "time"), ("time", "time_ns"), ("time", "monotonic"), ("time", "monotonic_ns"), ("time", "localtime"),
    ("time", "gmtime"), ("datetime", "now"), ("datetime", "utcnow"), ("datetime", "today"), ("date", "today"),
}  # fmt: skip
"""`time.perf_counter` is a stopwatch for metrics: no rule depends on it."""
PACKAGES = ("schemas", "core", "processor", "trainer")
EDGES = {
    "processor/changelog.py": "deadline of a read from a broker",
    "processor/fenced_producer.py": "deadline of a write to a broker",
    "trainer/trainer.py": "the default of an argument; the command line is the composition root",
    "trainer/kafka_history.py": "deadlines of reads from a broker",
}


def clock_reads(source: str) -> list[tuple[int, str]]:
    """Return line and text of each use of a clock: called, or passed on."""
    return [
        (node.lineno, f"{node.value.id}.{node.attr}")
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and (node.value.id, node.attr) in READS
    ] + [
        (node.lineno, f"from {node.module} import {name.name}")
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.ImportFrom)
        for name in node.names
        if (node.module, name.name) in READS
    ]


@pytest.mark.parametrize("package", PACKAGES)
def test_no_module_reads_a_clock_of_its_own(package: str) -> None:
    found = [
        f"{path.relative_to(ROOT)}:{line}: {text}; take a clock as an argument"
        for path in sorted((ROOT / package).rglob("*.py"))
        if str(path.relative_to(ROOT)) not in EDGES
        for line, text in clock_reads(path.read_text())
    ]
    assert not found, "\n".join(found)


@pytest.mark.parametrize("edge", EDGES)
def test_a_named_edge_still_reads_a_clock(edge: str) -> None:
    assert clock_reads((ROOT / edge).read_text()), f"{edge} reads no clock any more: take it off the list"


@pytest.mark.parametrize(
    "line", ["x = time.time()", "f(clock=time.monotonic)", "datetime.now(UTC)", "from time import time"]
)
def test_a_read_is_found_called_passed_on_or_imported(line: str) -> None:
    assert clock_reads(line)
