"""What energy costs: by the hour of the plant's own time."""

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import numpy as np
import pytest

from core.plant import PlantError, Tariff, parse_plant
from core.plant.tariffs import cost_of, prices
from runtime.plants import shipped_plants

BERLIN = ZoneInfo("Europe/Berlin")
TARIFF = Tariff.model_validate(
    {
        "price": 0.2,
        "periods": [
            {"weekdays": [0, 1, 2, 3, 4], "from_hour": 22, "to_hour": 6, "price": 0.1},
            {"weekdays": [0, 1, 2, 3, 4], "from_hour": 8, "to_hour": 12, "price": 0.5},
        ],
    }
)


def price_at(*moment: int) -> float:
    hour = int(datetime(*moment, tzinfo=BERLIN).timestamp()) // 3600  # type: ignore[misc, arg-type]
    return float(prices(TARIFF, hour, 1, BERLIN)[0])


def test_the_first_period_that_fits_counts() -> None:
    assert price_at(2026, 7, 1, 9) == 0.5  # a Wednesday
    assert price_at(2026, 7, 1, 12) == 0.2
    assert price_at(2026, 7, 4, 9) == 0.2  # a Saturday


def test_a_night_belongs_to_its_evening() -> None:
    assert [price_at(2026, 7, 3, 23), price_at(2026, 7, 4, 3)] == [0.1, 0.1]  # from Friday to Saturday
    assert [price_at(2026, 7, 5, 23), price_at(2026, 7, 6, 3)] == [0.2, 0.2]  # from Sunday to Monday


def test_the_cost_of_a_forecast_has_bounds_too() -> None:
    first = int(datetime(2026, 7, 1, 10, tzinfo=UTC).timestamp()) // 3600  # 12 h in Berlin
    energy = np.array([10.0, 20.0])
    cost = cost_of(TARIFF, first - 1, BERLIN, value=energy, lower=energy - 5, upper=energy + 5)
    assert (cost.currency, cost.value) == ("EUR", pytest.approx(10 * 0.5 + 20 * 0.2))
    assert (cost.lower, cost.upper) == (pytest.approx(5 * 0.5 + 15 * 0.2), pytest.approx(15 * 0.5 + 25 * 0.2))


def test_a_price_below_zero_turns_the_bounds_round() -> None:
    tariff = Tariff(price=-0.1)
    cost = cost_of(tariff, 0, BERLIN, value=np.array([10.0]), lower=np.array([5.0]), upper=np.array([15.0]))
    assert (cost.lower, cost.value, cost.upper) == (-1.5, -1, -0.5)


def test_a_region_without_known_holidays_is_refused() -> None:
    text = shipped_plants()["default"].read_text(encoding="utf-8")
    for region in ("DE", "DE-BY"):
        assert parse_plant(text.replace("[energy]", f'[energy]\nholidays = "{region}"'), source="x").energy.holidays
    for region in ("Atlantis", "DE-XX"):
        with pytest.raises(PlantError, match=f"holidays of '{region}' are not known"):
            parse_plant(text.replace("[energy]", f'[energy]\nholidays = "{region}"'), source="x")
