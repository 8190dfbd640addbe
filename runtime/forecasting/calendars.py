"""Public holidays as day numbers, and the choice of a series' holiday calendar."""

from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Final

import holidays

from core.forecasting.engine import Calendar, HourlySeries
from core.forecasting.engine.recognition import recognised
from runtime.errors import UsageError

AUTO: Final = "auto"
NONE: Final = "none"
COUNTRIES: Final = (
    "US", "CA", "MX", "BR", "AR", "CL", "GB", "IE", "DE", "AT", "CH", "FR", "ES", "IT", "NL", "BE", "PT", "SE", "NO",
    "DK", "FI", "PL", "CZ", "SK", "HU", "RO", "GR", "TR", "AU", "NZ", "JP", "KR", "CN", "TW", "SG", "IN", "ZA",
)  # fmt: skip
"""Countries that a series may be recognised as; any other can be named."""
_DAY_HOURS: Final = 24
_AGAIN_HOURS: Final = 28 * _DAY_HOURS
_YEARS_BACK: Final = 4
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


@cache
def holidays_of(country: str, first_year: int, last_year: int) -> frozenset[int]:
    """Return day numbers since the epoch of public holidays; country: ISO 3166 code, optionally `-` and a subdivision.

    Raises:
        UsageError: the country is unknown.
    """
    code, _, part = country.partition("-")
    try:
        found = holidays.country_holidays(code, subdiv=part or None, years=range(first_year, last_year + 1))
    except NotImplementedError:
        raise UsageError(
            f"holidays = {country!r}: is no country whose holidays are known; write a code such as US, DE or DE-BY, "
            f"{AUTO} or {NONE}"
        ) from None
    return frozenset((day - _EPOCH.date()).days for day in found)


class HolidayChoice:
    """Holiday calendar of a series: that of a stated country, or of a recognised one.

    country: a code, `auto`, or `none`. The recognition is repeated every four weeks.
    """

    def __init__(self, country: str = AUTO) -> None:
        self._country = country
        self._chosen_at: int | None = None
        self.chosen: str | None = None if country in {AUTO, NONE} else country
        self._calendar = Calendar()
        self(HourlySeries.nothing())  # an unknown code is refused at once

    def __call__(self, series: HourlySeries) -> Calendar:
        """Return the calendar to forecast this series with."""
        if self._chosen_at is None or series.end - self._chosen_at >= _AGAIN_HOURS:
            self._chosen_at = series.end
            this_year = (_EPOCH + timedelta(hours=series.end)).year
            years = (this_year - _YEARS_BACK, this_year + 1)
            if self._country == AUTO and len(series.values):
                self.chosen = recognised(series, {code: holidays_of(code, *years) for code in COUNTRIES})
            self._calendar = Calendar() if self.chosen is None else Calendar(holidays=holidays_of(self.chosen, *years))
        return self._calendar
