"""The first ten minutes with a file that nobody prepared: the commands of docs/connecting.md, one after another."""

import re
import shlex
from pathlib import Path

import pytest

from schemas.topics import ALERTS, READINGS, SCORES
from tests.brokers import Broker
from tests.cli.command import nexova
from tests.data import shared_data
from tests.e2e.workers import eventually, read_all, workers

PAGE = Path(__file__).parents[2] / "docs" / "connecting.md"


def commands() -> list[list[str]]:
    """The commands of the page's section on files, without the program's name."""
    section = PAGE.read_text(encoding="utf-8").partition("## From a file\n")[2].partition("\n## ")[0]
    return [shlex.split(line, comments=True)[1:] for line in re.findall(r"^    (nexova .+)$", section, re.MULTILINE)]


@pytest.mark.long
@pytest.mark.timeout(290)
def test_the_commands_of_the_page_lead_from_a_csv_to_alerts_and_a_model(fresh_tansu: Broker, tmp_path: Path) -> None:
    files = sorted(shared_data("skab", "valve1").glob("*.csv"))[:10]
    header = files[0].read_text().splitlines()[0]
    rows = [row for file in files for row in file.read_text().splitlines()[1:]]
    (tmp_path / "readings.csv").write_text("\n".join([header, *rows]) + "\n")
    variables = {"NEXOVA_KAFKA__BOOTSTRAP_SERVERS": fresh_tansu.bootstrap_servers}
    said = {}
    with workers(fresh_tansu, tmp_path, NEXOVA_PLANT_FILE=str(tmp_path / "plant.toml")) as group:
        for command in commands():
            if command == ["process"]:
                group.start()
                group.wait_ready(seconds=120)
                eventually(
                    lambda: len(read_all(fresh_tansu, SCORES)) >= len(read_all(fresh_tansu, READINGS)) > 0,
                    seconds=120,
                    what=group.logs,
                )
                continue
            done = nexova(*command, folder=tmp_path, variables=variables, seconds=200)
            assert done.returncode == 0, f"{command}\n{done.stdout}{done.stderr}\n{group.logs()}"
            said[" ".join(command[:2])] = done.stdout
        assert read_all(fresh_tansu, ALERTS)
    assert len(read_all(fresh_tansu, READINGS)) > 4000
    assert "readings" in said["tail alerts"]
    assert "alerts opened" in said["backtest detect"]
    assert {"plant init", "plant check", "produce replay", "train anomaly"} <= set(said)
