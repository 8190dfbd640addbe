"""`nexova demo` as a user runs it: a process in a pipe, with all its children."""

import json
import os
import re
import signal
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.cli.command import PROGRAM, environment, nexova

FAST = ("--days", "1", "--machines", "3")


@dataclass
class Demo:
    """A running demo, its lines so far, and the folder in which it keeps what is temporary."""

    process: subprocess.Popen[str]
    temporary: Path
    lines: list[str] = field(default_factory=list)

    def wait_for(self, words: str, seconds: float = 90.0) -> None:
        deadline = time.monotonic() + seconds
        while not any(words in line for line in self.lines):
            assert self.process.poll() is None, f"it ended before {words!r}: {self.lines} {self.errors()}"
            assert time.monotonic() < deadline, f"no {words!r} in {self.lines}"
            time.sleep(0.05)

    def children(self) -> dict[int, str]:
        """Processes below the demo, with their command lines."""
        return below(self.process.pid)

    def errors(self) -> str:
        assert self.process.stderr is not None
        return self.process.stderr.read()


def below(pid: int) -> dict[int, str]:
    """All processes that descend from `pid`, which lives, with their command lines."""
    parents: dict[int, int] = {}
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            try:
                status = (folder / "stat").read_text()
            except OSError:  # it has just ended
                continue
            parents[int(folder.name)] = int(status.rpartition(")")[2].split()[1])
    found: dict[int, str] = {}
    wanted = {pid}
    while wanted:
        wanted = {child for child, parent in parents.items() if parent in wanted}
        found |= {child: command_of(child) for child in wanted}
    return found


def command_of(pid: int) -> str:
    """The command line of a process; empty when it has ended, also while nobody has asked for its exit code."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode()
    except OSError:
        return ""


def gone(children: dict[int, str], seconds: float = 10.0) -> bool:
    """Whether all these processes end within that time."""
    deadline = time.monotonic() + seconds
    while any(command_of(pid) == command for pid, command in children.items()):
        if time.monotonic() > deadline:
            return False
        time.sleep(0.05)
    return True


@contextmanager
def running_demo(folder: Path, models: Path, *arguments: str) -> Iterator[Demo]:
    temporary = folder / "tmp"
    temporary.mkdir()
    process = subprocess.Popen(
        [*PROGRAM, "demo", *arguments],
        cwd=folder,
        env=environment(MODEL_PATH=str(models), TMPDIR=str(temporary)),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    demo = Demo(process, temporary)
    assert process.stdout is not None
    reader = threading.Thread(target=lambda out=process.stdout: demo.lines.extend(iter(out.readline, "")))
    reader.start()
    children: dict[int, str] = {}
    try:
        yield demo
        children = demo.children() if process.poll() is None else {}
    finally:
        process.kill()
        process.wait()
        reader.join()
        process.stdout.close()
        if process.stderr is not None:
            process.stderr.close()
        for pid in children:  # should one of the tests fail, nothing of it may stay
            if command_of(pid) == children[pid]:
                os.kill(pid, signal.SIGKILL)


def address_of(demo: Demo) -> str:
    """Where its API is, as it says."""
    (step,) = [line for line in demo.lines if "console ready" in line]
    (address,) = re.findall(r"(http://127\.0\.0\.1:\d+) ", step)
    return str(address)


@pytest.mark.timeout(180)
def test_a_demo_accounts_for_every_reading_alerts_on_faults_and_leaves_nothing_behind(
    tmp_path: Path, trained_models: Path
) -> None:
    with running_demo(tmp_path, trained_models, "--duration", "20", "--report", "report.json") as demo:
        demo.wait_for("live ")
        children = demo.children()
        address = address_of(demo)
        page = httpx.get(address, timeout=30).text
        assert re.search(r"(press|pump|compressor)-\d\d", page), "its newest alerts name their machines"
        assert httpx.get(f"{address}/machines", timeout=30).json()["total"] == 8
        assert {"tansu", "process", "serve"} <= {
            word for command in children.values() for word in re.split(r"[ /]", command)
        }
        assert demo.process.wait(60) == 0, demo.errors()
        assert gone(children, seconds=0.0)
        assert demo.errors() == ""
        lines = list(demo.lines)
    report: dict[str, Any] = json.loads((tmp_path / "report.json").read_text())

    # every reading came out again
    assert report["readings_produced"] == report["readings_scored"] + report["dead_letters"]
    assert report["readings_produced"] == report["backfill_readings"] + report["live_readings"] + 3
    assert report["dead_letters"] == report["bad_messages_sent"] == 3
    assert report["live_readings"] == 8 * 2 * 20
    # faults were injected and found, and every alert says where and on which signal
    assert report["injected_faults"] >= 2
    assert report["injected_faults_alerted"] >= 0.5 * report["injected_faults"]
    assert report["alerts_opened"] >= report["live_alerts_opened"] >= 1
    assert report["alerts_without_machine_or_signal"] == 0
    assert 0 < report["seconds_to_first_alert"] < 20
    # the history had full hours, and its machines were advised on
    assert report["energy_windows"] >= 8 * 40
    assert report["recommendations"] >= 1
    assert 0 < report["latency_p50_ms"] <= report["latency_p99_ms"] < 5000
    assert report["readings_per_second"] == pytest.approx(16, rel=0.05)
    assert report["backfill_readings_per_second"] > 1000
    # a pipe gets plain lines: the steps, the alerts, and where things stand
    text = "".join(lines)
    assert "\x1b" not in text
    for step in ("broker up", "topics created", "history produced", "models ready", "processor ready", "console ready"):
        assert f"✓ {step}" in text
    assert text.index("✓ console ready") < text.index("✓ processor ready"), "the page is there while it starts"
    assert re.search(r"opened +(info|warning|critical) +\S+-\d+ +(anomaly|sensor_fault|limit) +\w+", text)
    assert "readings  " in text
    assert list(demo.temporary.iterdir()) == []


@pytest.mark.timeout(180)
def test_ctrl_c_in_the_live_phase_ends_all_children(tmp_path: Path, trained_models: Path) -> None:
    with running_demo(tmp_path, trained_models, "--duration", "60", *FAST) as demo:
        demo.wait_for("history processed")
        children = demo.children()
        assert len(children) >= 2
        demo.process.send_signal(signal.SIGINT)
        assert demo.process.wait(30) == 130
        assert gone(children, seconds=0.0)
        assert demo.errors() == ""
    assert list(demo.temporary.iterdir()) == []


@pytest.mark.long
@pytest.mark.timeout(180)
def test_without_a_duration_ctrl_c_is_the_end_that_was_asked_for(tmp_path: Path, trained_models: Path) -> None:
    with running_demo(tmp_path, trained_models, "--report", "report.json", *FAST) as demo:
        demo.wait_for("live ")
        demo.process.send_signal(signal.SIGINT)
        assert demo.process.wait(60) == 0, demo.errors()
    report = json.loads((tmp_path / "report.json").read_text())
    assert report["readings_produced"] == report["readings_scored"] + report["dead_letters"]


@pytest.mark.timeout(120)
def test_sigterm_while_it_starts_ends_all_children(tmp_path: Path, trained_models: Path) -> None:
    with running_demo(tmp_path, trained_models, "--duration", "60", *FAST) as demo:
        demo.wait_for("broker up")
        children = demo.children()
        assert children
        demo.process.send_signal(signal.SIGTERM)
        assert demo.process.wait(30) == 143
        assert gone(children, seconds=0.0)
        assert demo.errors() == ""
    assert list(demo.temporary.iterdir()) == []


@pytest.mark.long
@pytest.mark.timeout(180)
@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="only Linux ties children to their parent")
def test_no_child_survives_a_kill_of_the_demo(tmp_path: Path, trained_models: Path) -> None:
    with running_demo(tmp_path, trained_models, "--duration", "60", *FAST) as demo:
        demo.wait_for("processor ready")
        children = demo.children()
        assert len(children) >= 2
        demo.process.kill()
        demo.process.wait()
        assert gone(children)


@pytest.mark.long
@pytest.mark.timeout(180)
def test_a_processor_that_dies_ends_the_demo_with_one_line_that_names_the_logs(
    tmp_path: Path, trained_models: Path
) -> None:
    with running_demo(tmp_path, trained_models, "--duration", "60", *FAST) as demo:
        demo.wait_for("history processed")
        children = demo.children()
        (processor,) = [pid for pid, command in children.items() if " process " in command]
        os.kill(processor, signal.SIGKILL)
        assert demo.process.wait(30) == 1
        errors = demo.errors()
        assert errors.count("\n") == 1, errors
        assert "the processor ended by itself with code -9" in errors
        (folder,) = re.findall(r"the logs are in (\S+)", errors)
        assert (Path(folder) / "processor.log").stat().st_size > 0
        assert gone(children, seconds=0.0)


def test_a_report_that_cannot_be_written_is_told_before_anything_starts(tmp_path: Path) -> None:
    started = time.monotonic()
    done = nexova("demo", "--duration", "5", "--report", "nowhere/report.json", folder=tmp_path)
    assert done.returncode == 2
    assert done.stderr == "nexova: --report nowhere/report.json: nowhere is no folder to write to; name another file\n"
    assert done.stdout == ""
    assert time.monotonic() - started < 10
