"""Every door takes hostile input with a refusal of its kind, and nothing else; seeded, so a failure repeats.

The API's bodies and headers are fuzzed from its own description in tests/api/test_contract.py.
"""

import json
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from pydantic import BaseModel, ValidationError

from core.plant import PlantError, parse_plant
from runtime.errors import NexovaError
from runtime.models.manifest import parse_log
from runtime.models.repository import MANIFEST, SIGNATURES, ModelRepository
from runtime.models.signing import SigningKey, Trust
from runtime.plants import load_plant, shipped_plants
from runtime.tables.readings import read_readings
from schemas.feedback import Feedback
from schemas.history import EnergyHistory
from schemas.known_inputs import KnownInput
from schemas.models import ModelPromoted
from tests.fuzz.messages import Mutator
from tests.fuzz.readings import good_reading, run
from tests.model_repository import ModelRepositoryBuilder, anomaly_files

AT = "2026-03-01T00:00:00Z"


def test_every_hostile_reading_is_accepted_or_refused_with_a_reason_and_every_good_one_is_accepted() -> None:
    found = run(8_000, seed=7)

    assert found.hostile > 500
    assert found.accepted + sum(found.refused.values()) == found.sent
    assert found.good_accepted == found.good
    assert len([reason for reason, count in found.refused.items() if count]) > 8
    assert found.machines < 1_000  # of 250 that were meant


@pytest.mark.long
@pytest.mark.timeout(400)
def test_a_hundred_thousand_messages_leave_memory_as_it_was() -> None:
    found = run(100_000, seed=11)

    assert found.accepted + sum(found.refused.values()) == found.sent
    assert found.good_accepted == found.good
    assert found.growth_bytes < 60_000_000


MESSAGES: list[tuple[type[BaseModel], dict[str, Any]]] = [
    (Feedback, {"machine_id": "m", "kind": "snoozed", "at": AT, "until": AT, "alert_id": "a", "comment": "c"}),
    (EnergyHistory, {"machine_id": "m", "start": AT, "energy_kwh": [1.0, None, 2.5]}),
    (KnownInput, {"machine_id": "m", "name": "planned", "start": AT, "values": [1.0, None]}),
    (ModelPromoted, {"name": "anomaly", "version": "20260301T120000Z", "promoted_at": AT, "reason": "r"}),
]


@pytest.mark.parametrize(("message", "good"), MESSAGES, ids=[kind.__name__ for kind, _ in MESSAGES])
def test_a_hostile_message_is_refused_or_can_be_written_again(message: type[BaseModel], good: dict[str, Any]) -> None:
    mutator = Mutator(3, times=("at", "until", "start", "promoted_at"))
    message.model_validate_json(json.dumps(good))
    refused = 0
    for _ in range(3_000):
        try:
            taken = message.model_validate_json(mutator.value(good))
        except ValidationError:
            refused += 1
            continue
        # what was accepted can be computed with and passed on
        for value in taken.model_dump().values():
            if hasattr(value, "timestamp"):
                assert abs(value.timestamp()) < 1e11
        message.model_validate_json(taken.model_dump_json())
    assert 1_000 < refused < 3_000


def test_a_hostile_plant_file_is_refused_in_one_line() -> None:
    mutator, text = Mutator(5, times=()), shipped_plants()["default"].read_text()
    chance = random.Random(5)
    values = ("-1", "0", "1e308", "nan", "inf", '""', '"x"', "[]", "{}", "true", "9" * 40, "1979-05-27", '"../x"')
    for number in range(300):
        lines = text.splitlines()
        for _ in range(chance.choice((1, 2, 5))):
            place = chance.randrange(len(lines))
            name, equals, _ = lines[place].partition("=")
            lines[place] = f"{name}= {chance.choice(values)}" if equals and chance.random() < 0.8 else ""
        changed = "\n".join(lines)
        if number % 4 == 0:
            changed = mutator.bytes_of(text.encode()).decode("utf-8", "replace")
        only(PlantError, lambda changed=changed: parse_plant(changed, source="fuzz"))


@pytest.fixture
def builder(tmp_path: Path) -> ModelRepositoryBuilder:
    key = SigningKey.create(tmp_path / "key.pem")
    root = tmp_path / "models"
    ModelRepositoryBuilder(repository=ModelRepository(root, signer=key), path=root).put("anomaly", anomaly_files())
    return ModelRepositoryBuilder(repository=ModelRepository(root, trust=Trust.parse(key.public)), path=root)


@pytest.mark.parametrize("file", [MANIFEST, SIGNATURES, "model.json", "model.onnx"])
def test_a_changed_file_of_a_signed_model_never_runs(file: str, builder: ModelRepositoryBuilder) -> None:
    mutator = Mutator(9, times=())
    path = next(builder.path.glob(f"anomaly/*/{file}"))
    good = path.read_bytes()
    for _ in range(40):
        changed = mutator.bytes_of(good)
        path.write_bytes(changed)
        loaded = builder.load()
        # a signature file may have more lines than ours
        assert (loaded.models.anomaly is None) or file == SIGNATURES, changed[:200]
        assert all("\n" not in problem for problem in loaded.problems)
    path.write_bytes(good)
    assert builder.load().models.anomaly is not None


def test_hostile_manifests_and_model_files_that_nobody_signs_are_refused_as_models(tmp_path: Path) -> None:
    builder = ModelRepositoryBuilder(repository=ModelRepository(tmp_path), path=tmp_path)
    files = anomaly_files()
    mutator = Mutator(13, times=())
    document = json.loads(files["model.json"])
    for number in range(60):  # with digests that fit: the content itself is hostile
        content = {"model.json": mutator.value(document), "model.onnx": files["model.onnx"]}
        if number % 3 == 0:
            content = files | {"model.onnx": mutator.bytes_of(files["model.onnx"])}
        builder.put("anomaly", content, minutes=number)
        loaded = builder.load()
        assert loaded.models.anomaly is not None or loaded.problems
        path = next(tmp_path.glob(f"anomaly/*/{MANIFEST}"))
        path.write_bytes(mutator.value(json.loads(path.read_bytes())) if number % 2 else path.read_bytes())
        if number % 2:
            only(NexovaError, lambda path=path: builder.repository.manifest("anomaly", path.parent.name))
            path.unlink()
    parse_log(mutator.bytes_of((tmp_path / "registry.jsonl").read_bytes()).decode("utf-8", "replace"))


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_a_hostile_table_is_refused_in_one_line(suffix: str, tmp_path: Path) -> None:
    plant, mutator = load_plant(None), Mutator(17, times=("timestamp",))
    chance = mutator.chance
    file = tmp_path / f"readings{suffix}"
    rows = [good_reading(number * 200) for number in range(40)]
    good = tmp_path / f"good{suffix}"
    write(pd.DataFrame(rows), good)
    for number in range(80):
        if number % 2:
            file.write_bytes(mutator.bytes_of(good.read_bytes()))
        else:
            changed = [row | mutator.document(row) if chance.random() < 0.3 else row for row in rows]
            write(
                pd.DataFrame([[plain(row[name]) for name in rows[0]] for row in changed], columns=list(rows[0])), file
            )
        only(NexovaError, lambda: read_readings(file, plant))


def plain(value: object) -> str:
    return str(value).encode("utf-8", "replace").decode()[:200]


def write(frame: pd.DataFrame, file: Path) -> None:
    if file.suffix == ".csv":
        frame.to_csv(file, index=False)
    else:
        frame.to_parquet(file)


def only(kind: type[Exception], work: Callable[[], object]) -> None:
    """Run `work`, which may raise an error of this kind, with a message of one line."""
    said = ""
    try:
        work()
    except kind as error:
        said = str(error)
    assert "\n" not in said
