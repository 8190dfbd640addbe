"""The page on plant files: its examples are plant files, and its tables have every key."""

import re
import tomllib
from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from core.plant import Plant, parse_plant
from runtime.plants import load_plant
from tests.docs.commands import ROOT

TEXT = (ROOT / "docs" / "plant.md").read_text(encoding="utf-8")
EXAMPLES = re.findall(r"```toml\n(.*?)```", TEXT, flags=re.DOTALL)
TITLES = re.findall(r"^## (.+)\n(?:(?!^## )[\s\S])*?```toml", TEXT, flags=re.MULTILINE)


def test_the_smallest_file_is_one() -> None:
    plant = parse_plant(EXAMPLES[0], source="plant.md")

    assert plant.sensor_names == ("power", "temperature")


@pytest.mark.parametrize("example", EXAMPLES[1:], ids=TITLES[1:])
def test_each_example_can_be_added_to_the_smallest_file(example: str) -> None:
    plant = parse_plant(f"{EXAMPLES[0]}\n{example}", source="plant.md")

    assert plant != parse_plant(EXAMPLES[0], source="plant.md")


def keys(table: Mapping[str, Any]) -> Iterator[str]:
    for name, value in table.items():
        yield name
        for part in value if isinstance(value, list) else [value]:
            if isinstance(part, dict) and name not in {"columns", "sensors"}:
                yield from keys(part)


def test_every_key_of_the_model_and_of_the_shipped_files_has_a_place() -> None:
    schema = Plant.model_json_schema()
    known = {name for part in (schema, *schema["$defs"].values()) for name in part["properties"]}
    shipped = set()
    for file in (ROOT / "plants").glob("*.toml"):
        load_plant(file)
        shipped |= set(keys(tomllib.loads(file.read_text(encoding="utf-8"))))
    shown = set(re.findall(r"^\| `(\w+)` \|", TEXT, flags=re.MULTILINE))
    shown |= {
        name for path in re.findall(r"^### `\[+([\w.]+)\]+`$", TEXT, flags=re.MULTILINE) for name in path.split(".")
    }

    assert known | shipped <= shown
