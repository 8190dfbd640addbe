"""The rule for numbers that are sent, over all messages and over arrays."""

import json
import types
import typing
from datetime import UTC, datetime
from decimal import Decimal
from math import isclose
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import AwareDatetime, BaseModel
from pydantic.fields import FieldInfo

from core.rounding import cut_scores, round_quantities
from schemas.answers import AnomalyResponse, ForecastResponse, RecommendationsResponse
from schemas.message import Message
from schemas.rounding import cut_score, in_words, round_quantity
from schemas.topics import CATALOGUE

MESSAGES = [topic.message for topic in CATALOGUE if issubclass(topic.message, Message)]
ANSWERS = [AnomalyResponse, ForecastResponse, RecommendationsResponse]
NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
PLAIN: dict[Any, Any] = {str: "x", int: 1, bool: True, bytes: b"eA==", datetime: NOON, AwareDatetime: NOON}


def drawn(  # noqa: PLR0911  one return a kind of annotation
    annotation: Any, metadata: typing.Iterable[Any] = ()
) -> st.SearchStrategy[Any]:
    """Values of an annotation in which only the floats vary, within their bounds."""
    origin, parts = typing.get_origin(annotation), typing.get_args(annotation)
    if origin is typing.Annotated:
        inner = [one for item in parts[1:] for one in (item.metadata if isinstance(item, FieldInfo) else [item])]
        return drawn(parts[0], [*metadata, *inner])
    if origin in (types.UnionType, typing.Union):
        return st.one_of([drawn(part, metadata) for part in parts])
    if origin is typing.Literal:
        return st.just(parts[0])
    if origin in (tuple, list):
        return st.lists(drawn(parts[0]), min_size=1, max_size=3)
    if origin is dict:
        return st.dictionaries(st.just("x"), drawn(parts[1]), min_size=1)
    if annotation is float:
        low = max((one.ge for one in metadata if hasattr(one, "ge")), default=None)
        high = min((one.le for one in metadata if hasattr(one, "le")), default=None)
        return st.floats(low, high, allow_nan=False, allow_infinity=False)
    if annotation is type(None):
        return st.none()
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return instances(annotation)
    return st.just(PLAIN[annotation])


def instances(model: type[BaseModel]) -> st.SearchStrategy[Any]:
    fields = {name: drawn(info.annotation, info.metadata) for name, info in model.model_fields.items()}
    return st.fixed_dictionaries(fields).map(model.model_validate)


@pytest.mark.parametrize("model", [*MESSAGES, *ANSWERS], ids=lambda model: model.__name__)
@given(data=st.data())
def test_every_number_of_every_message_has_at_most_six_digits_and_no_tiny_exponent(
    model: type[BaseModel], data: st.DataObject
) -> None:
    message = data.draw(instances(model))
    tokens: list[str] = []

    def taken(token: str) -> float:
        tokens.append(token)
        return float(token)

    json.loads(message.model_dump_json(), parse_float=taken)

    for number in map(Decimal, tokens):
        assert number == 0 or abs(number) >= Decimal("1e-9")
        assert number == int(number) or len(number.normalize().as_tuple().digits) <= 6


@pytest.mark.parametrize("model", MESSAGES, ids=lambda model: model.__name__)
@given(data=st.data())
def test_a_message_for_state_keeps_every_digit(model: type[Message], data: st.DataObject) -> None:
    message = data.draw(instances(model))

    if "payload" not in model.model_fields:  # a dead letter's is base64, and no state
        assert model.model_validate_json(message.encode_exact()) == message


@given(st.floats(0, 3))
def test_a_score_is_cut_to_four_decimals_and_cutting_again_changes_nothing(score: float) -> None:
    cut = cut_score(score)

    assert -1e-12 <= score - cut < 1e-4
    assert cut_score(cut) == cut
    assert len(repr(cut).partition(".")[2]) <= 4 or cut < 1e-3


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_a_quantity_is_rounded_to_six_digits_and_rounding_again_changes_nothing(value: float) -> None:
    rounded = round_quantity(value)

    assert isclose(rounded, value, rel_tol=5.01e-6, abs_tol=5.01e-10)
    assert round_quantity(rounded) == rounded


@given(st.lists(st.floats()))
def test_arrays_are_rounded_to_the_same_numbers(values: list[float]) -> None:
    array = np.array(values, dtype=np.float64)

    np.testing.assert_array_equal(round_quantities(array), [round_quantity(value) for value in values])
    shares = np.abs(np.nan_to_num(array, posinf=1.0, neginf=0.0)) % 3.0
    np.testing.assert_array_equal(cut_scores(shares), [cut_score(share) for share in shares.tolist()])


@pytest.mark.parametrize(
    ("value", "expected"),
    [(4.4e-209, 0.0), (0.031249999999999997, 0.03125), (12345678.4, 12345678.0), (-0.0, 0.0), (71.2, 71.2)],
)
def test_what_is_worth_nothing_is_left_out(value: float, expected: float) -> None:
    assert repr(round_quantity(value)) == repr(expected)


@pytest.mark.parametrize(
    ("value", "text"),
    [(12345.6, "12346"), (4.1234567, "4.123"), (0.00012, "0.00012"), (-3.0, "-3"), (0.0, "0"), (1200.0, "1200")],
)
def test_a_sentence_has_no_exponents(value: float, text: str) -> None:
    assert in_words(value) == text
