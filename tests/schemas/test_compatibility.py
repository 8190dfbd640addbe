"""Messages of this release against those of the last one: a breaking change fails here, before it breaks a consumer."""

import copy
import json
from typing import Any

import pytest

from runtime.plants import load_plant
from schemas.compatibility import breaking_changes
from schemas.export import RECEIVED, json_schemas
from schemas.topics import CATALOGUE
from tests.deploy.checks import ROOT

RELEASED = ROOT / "docs" / "released"
NOW = json_schemas(load_plant(None).sensor_names)
RECEIVED_MESSAGES = {topic.message.__name__ for topic in CATALOGUE if topic.name in RECEIVED}


def kebab(name: str) -> str:
    return "".join(f"-{letter.lower()}" if letter.isupper() else letter for letter in name).removeprefix("-")


def released(name: str) -> dict[str, Any]:
    document: dict[str, Any] = json.loads((RELEASED / f"{kebab(name)}.json").read_text(encoding="utf-8"))
    return document


@pytest.mark.parametrize("name", sorted(NOW))
def test_a_message_breaks_nobody_who_relies_on_the_last_release(name: str) -> None:
    if not (RELEASED / f"{kebab(name)}.json").is_file():
        return  # new since then: nobody relies on it
    direction = "received" if name in RECEIVED_MESSAGES else "sent"

    # where nothing was released since: make contracts-release
    assert breaking_changes(released(name), NOW[name], direction) == ()


def test_no_message_of_the_last_release_is_gone() -> None:
    assert {file.stem for file in RELEASED.glob("*.json")} <= {kebab(name) for name in NOW}


def changed(name: str, change: Any) -> tuple[dict[str, Any], dict[str, Any]]:
    after = copy.deepcopy(NOW[name])
    change(after)
    return NOW[name], after


@pytest.mark.parametrize(
    ("name", "direction", "change", "complaint"),
    [
        ("Alert", "sent", lambda s: s["properties"].pop("summary"), "summary: is gone"),
        ("Alert", "sent", lambda s: s["properties"]["machine_id"].update(type="integer"), "may now be integer"),
        ("Alert", "sent", lambda s: s["required"].remove("kind"), "kind: may now be missing"),
        ("Alert", "sent", lambda s: s["properties"]["severity"]["enum"].append("fatal"), "severity: may now be fatal"),
        ("Alert", "sent", lambda s: s["$defs"]["Signal"]["properties"].pop("sensor"), "signals[].sensor: is gone"),
        ("Feedback", "received", lambda s: s["required"].append("author"), "author: is now demanded"),
        ("Feedback", "received", lambda s: s["properties"]["kind"]["enum"].remove("failure"), "no longer accepted"),
        ("Reading", "received", lambda s: s["properties"]["machine_id"].update(maxLength=8), "maxLength fell to 8"),
    ],
)  # fmt: skip
def test_a_break_on_purpose_is_found(name: str, direction: Any, change: Any, complaint: str) -> None:
    assert any(complaint in found for found in breaking_changes(*changed(name, change), direction))


@pytest.mark.parametrize(
    ("name", "direction", "change"),
    [
        ("Alert", "sent", lambda s: s["properties"].update(plant={"type": "string"})),
        ("Feedback", "received", lambda s: s["properties"].update(shift={"type": "string"})),
        ("Feedback", "received", lambda s: s["properties"]["kind"]["enum"].append("inspected")),
        ("Reading", "received", lambda s: s["properties"]["machine_id"].update(maxLength=512)),
    ],
)
def test_what_breaks_nobody_passes(name: str, direction: Any, change: Any) -> None:
    assert breaking_changes(*changed(name, change), direction) == ()
