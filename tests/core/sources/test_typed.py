"""The fast reader of a source and the general one lead to the same readings."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.plant import parse_plant
from core.sources.documents import json_documents
from core.sources.mapping import compile_source
from core.sources.record import Mapped, MappedReading, Raw
from core.sources.typed import typed_reader
from tests.core.sources.test_mapping import PLANT

WIDE = (
    '[source]\ntopic = "t"\nmachine_id = "d.m"\ntime = "ts"\ntime_format = "ms"\n[source.sensors]\n'
    'power = { path = "v.P", unit = "W" }\ntemperature = "v.T"\n'
)
ONE = '[source]\ntopic = "t"\nmachine_id = "key"\ntime = "ts"\ntime_format = "s"\n[source.sensors]\ntemperature = "T"\n'
LONG = '[source]\ntopic = "t"\nform = "long"\nmachine_id = "m"\ntag = "tag"\ntime = "ts"\ntime_format = "ns"\n'
TEMPLATE = (
    '[source]\ntopic = "t"\nform = "long"\ntag = "path:tag {machine_id}/{sensor}"\ntime = "ts"\ntime_format = "s"\n'
)

numbers = (
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.floats()
    | st.sampled_from(["1.5", "x", "", [], "nan", "inf", "null", "1e5", "-0", " 7", "0x1f", "n/a", "1_0"])
)
texts = st.sampled_from(["a", "press-01", " x", "", "plant:x", "a/power", "a/b/power", "power", 7, None])
times = st.sampled_from([1772366400, 1772366400123, 1772366400123456789, -1, 10**30, "1772366400", 1.5, None])
documents = st.fixed_dictionaries(
    {},
    optional={
        "d": st.fixed_dictionaries({}, optional={"m": texts}) | st.none(),
        "v": st.fixed_dictionaries({}, optional={"P": numbers, "T": numbers}) | st.integers(),
        "m": texts,
        "tag": texts,
        "value": numbers,
        "T": numbers,
        "ts": times,
        "other": numbers,
    },
)


@pytest.mark.parametrize("text", [WIDE, ONE, LONG, TEMPLATE])
def test_both_readers_lead_to_the_same_readings(text: str) -> None:
    plant = parse_plant(PLANT + text, source="tiny.toml")
    fast = typed_reader(plant.source[0], plant)
    slow = compile_source(plant.source[0], plant, lambda raw: json_documents(raw.value or b""))
    taken = []

    @given(documents)
    def agree(document: dict[str, Any]) -> None:
        raw = Raw(json.dumps(document).encode(), b"press-01", (), "t", 0.0)
        assert fast is not None
        short = fast(raw)
        if short is not None:
            taken.append(short)
            found = slow(raw)
            assert str(found) == str(
                Mapped(readings=[short]) if isinstance(short, MappedReading) else Mapped(values=[short])
            )

    agree()
    good = {"d": {"m": "a"}, "v": {"P": 1, "T": 2.5}, "m": "a", "tag": "power", "value": 3, "T": 4, "ts": 1772366400}
    taken.clear()
    for tag in ("power", "a/power"):
        value = json.dumps(good | {"tag": tag}).encode()
        taken.append(fast and fast(Raw(value, b"press-01", (), "t", 0.0)))
    assert any(taken), "the fast reader is used"


@pytest.mark.parametrize("more", ['quality = "q"\n', 'each = "rows"\n', 'time_format = "rfc3339"\n'])
def test_what_the_fast_reader_cannot_do_it_leaves_to_the_general_one(more: str) -> None:
    plant = parse_plant(PLANT + f'[source]\ntopic = "t"\n{more}', source="tiny.toml")
    assert typed_reader(plant.source[0], plant) is None
