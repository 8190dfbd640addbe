import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from core.arrays import DAY
from core.forecasting.engine import Calendar
from core.forecasting.engine.features import Past
from tests.core.forecasting.courses import MONDAY, a_series, a_week_of

VALUES = a_week_of(50)


@settings(max_examples=40, deadline=None)
@given(
    place=st.integers(30 * DAY, 45 * DAY),
    factor=st.floats(-5, 5),
    holidays=st.frozensets(st.integers(MONDAY // DAY, MONDAY // DAY + 50), max_size=4),
    steps=st.sampled_from([24, 72, 192]),
)
def test_what_comes_after_an_origin_changes_nothing_of_what_is_seen_at_it(
    place: int, factor: float, holidays: frozenset[int], steps: int
) -> None:
    changed = VALUES.copy()
    changed[place:] *= factor
    origin = np.array([MONDAY + place])
    calendar = Calendar(holidays=holidays)
    one, other = (Past.of(a_series(values), calendar).outlook(origin, steps) for values in (VALUES, changed))
    assert (one.inputs == other.inputs).all() or np.allclose(one.inputs, other.inputs, rtol=1e-5, atol=1e-4)
    for name in ("profile", "median", "fading", "long_median", "last_day"):
        assert (getattr(one, name) == getattr(other, name)).all()
