"""Finding plant files: shipped ones by name, others by path, and what is said when there is none."""

from pathlib import Path

import pytest

from runtime.errors import UsageError
from runtime.plants import load_plant, shipped_plants


def test_no_path_means_the_default_plant() -> None:
    assert load_plant(None) == load_plant(Path("default"))
    assert load_plant(None).name == "default"


def test_every_shipped_plant_is_found_by_name_and_by_path() -> None:
    assert set(shipped_plants()) >= {"default", "skab"}
    for name, path in shipped_plants().items():
        assert load_plant(Path(name)) == load_plant(path)


def test_a_missing_file_is_answered_with_the_plants_there_are(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"nowhere\.toml: does not exist.*default, skab"):
        load_plant(tmp_path / "nowhere.toml")


def test_a_broken_rule_carries_the_path_of_the_file(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text('name = "mine"\n', encoding="utf-8")
    with pytest.raises(UsageError, match=r"mine\.toml: .*timezone.*add the key"):
        load_plant(path)


def test_a_file_that_is_no_text_is_a_usage_error(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(UsageError, match="cannot be read as UTF-8"):
        load_plant(path)
