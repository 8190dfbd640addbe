"""Numbers, times and spans as people read them, in the plant's time zone and the reader's language."""

import math
from dataclasses import dataclass
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from markupsafe import Markup

_DASH = "\N{EN DASH}"
_MINUTE, _HOUR, _DAY = 60.0, 3600.0, 86_400.0
_MONTHS = {
    "en": ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"),
    "de": ("Jan", "Feb", "März", "Apr", "Mai", "Juni", "Juli", "Aug", "Sep", "Okt", "Nov", "Dez"),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Formats:
    """How values are written on one page. now: the instant that ages count from."""

    language: str
    zone: ZoneInfo
    now: datetime

    def number(self, value: float | None, digits: int = 3) -> str:
        """Return `value` with at most so many significant digits, thousands grouped; a dash for no value."""
        if value is None or not math.isfinite(value):
            return _DASH
        places = 0 if value == 0 else max(0, digits - 1 - math.floor(math.log10(abs(value))))
        text = f"{value:,.{min(places, 6)}f}"
        return self._localised(text.rstrip("0").rstrip(".") if "." in text else text)

    def fixed(self, value: float | None, places: int) -> str:
        """Return `value` with so many decimal places; a dash for no value."""
        return _DASH if value is None or not math.isfinite(value) else self._localised(f"{value:,.{places}f}")

    def percent(self, share: float | None) -> str:
        """Return a share of 0 to 1 as a percentage."""
        return _DASH if share is None or not math.isfinite(share) else f"{share * 100:.0f} %"

    def span(self, seconds: float) -> str:
        """Return a duration in its two largest units: `45 s`, `3 min`, `2 h 10 min`, `3 d 4 h`."""
        seconds = max(0.0, seconds)
        if seconds < _MINUTE:
            return f"{seconds:.0f} s"
        if seconds < _HOUR:
            return f"{seconds // _MINUTE:.0f} min"
        if seconds < _DAY:
            return f"{seconds // _HOUR:.0f} h {seconds % _HOUR // _MINUTE:.0f} min"
        return f"{seconds // _DAY:.0f} d {seconds % _DAY // _HOUR:.0f} h"

    def age(self, moment: datetime) -> str:
        """Return how long ago `moment` was."""
        return self.span((self.now - moment).total_seconds())

    def clock(self, moment: datetime, *, seconds: bool = False) -> str:
        """Return `moment` in the plant's zone: the time today, else the day and the time."""
        local = moment.astimezone(self.zone)
        time = f"{local:%H:%M:%S}" if seconds else f"{local:%H:%M}"
        return time if local.date() == self.now.astimezone(self.zone).date() else f"{self.day(moment)} {time}"

    def day(self, moment: datetime) -> str:
        """Return the day of `moment` in the plant's zone, with the year where it is another one."""
        local = moment.astimezone(self.zone)
        month = _MONTHS[self.language][local.month - 1]
        day = f"{local.day}. {month}" if self.language == "de" else f"{local.day} {month}"
        return day if local.year == self.now.astimezone(self.zone).year else f"{day} {local.year}"

    def time(self, moment: datetime, *, seconds: bool = False) -> Markup:
        """Return a `time` element; its title names the zone, and the script adds the reader's own time."""
        zone = self.zone.key
        full = f"{moment.astimezone(self.zone):%Y-%m-%d %H:%M:%S} {zone}"
        return Markup('<time datetime="{}" title="{}">{}</time>').format(
            moment.isoformat(), full, self.clock(moment, seconds=seconds)
        )

    def midnight(self) -> datetime:
        """Return the beginning of today in the plant's zone."""
        local = self.now.astimezone(self.zone)
        return local.replace(hour=0, minute=0, second=0, microsecond=0)

    def ticks(self, start: float, end: float, count: int = 5) -> list[str]:
        """Return labels for `count` instants that divide a time axis evenly; start, end: epoch seconds."""
        labels = []
        for index in range(count):
            moment = datetime.fromtimestamp(start + (end - start) * index / (count - 1), self.zone)
            wide = end - start > _DAY - _HOUR
            labels.append(
                f"{self.day(moment)} {moment:%H:%M}"
                if wide
                else f"{moment:%H:%M:%S}"
                if end - start < 5 * _MINUTE
                else f"{moment:%H:%M}"
            )
        return labels

    def in_hours(self, hours: float) -> datetime:
        """Return the instant in so many hours."""
        return self.now + timedelta(hours=hours)

    def _localised(self, text: str) -> str:
        if self.language == "de":
            return text.translate(str.maketrans(",.", "\u202f,"))
        return text.replace(",", "\u202f")
