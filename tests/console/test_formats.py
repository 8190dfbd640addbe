import re
from datetime import UTC, datetime, timedelta
from pathlib import Path
from string import Formatter
from typing import get_args
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

import api.console
from api.console.charts import Axis, line_chart, sparkline, thinned
from api.console.formats import Formats
from api.console.texts import TEXTS, language_of, text
from core.state.episodes import SuppressionReason

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
ENGLISH = Formats(language="en", zone=ZoneInfo("Europe/Berlin"), now=NOW)
GERMAN = Formats(language="de", zone=ZoneInfo("Europe/Berlin"), now=NOW)
FOLDER = Path(next(iter(api.console.__path__)))


@pytest.mark.parametrize(
    ("value", "english", "german"),
    [
        (None, "\N{EN DASH}", "\N{EN DASH}"),
        (float("nan"), "\N{EN DASH}", "\N{EN DASH}"),
        (0.0, "0", "0"),
        (4.2149, "4.21", "4,21"),
        (4.0, "4", "4"),
        (0.031249999999999997, "0.0312", "0,0312"),
        (4.4e-209, "0", "0"),
        (-12.34, "-12.3", "-12,3"),
        (14_314.2, "14\u202f314", "14\u202f314"),
    ],
)
def test_numbers_are_as_long_as_they_are_worth(value: float | None, english: str, german: str) -> None:
    assert (ENGLISH.number(value), GERMAN.number(value)) == (english, german)


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(-3, "0 s"), (45, "45 s"), (200, "3 min"), (7_800, "2 h 10 min"), (273_600, "3 d 4 h")],
)
def test_spans_have_their_two_largest_units(seconds: float, words: str) -> None:
    assert ENGLISH.span(seconds) == words


def test_times_are_those_of_the_plant() -> None:
    assert ENGLISH.clock(NOW) == "13:00"
    assert ENGLISH.clock(NOW - timedelta(days=2)) == "27 Feb 13:00"
    assert GERMAN.clock(NOW - timedelta(days=400)) == "25. Jan 2025 13:00"
    assert str(ENGLISH.time(NOW)) == (
        '<time datetime="2026-03-01T12:00:00+00:00" title="2026-03-01 13:00:00 Europe/Berlin">13:00</time>'
    )


def test_every_text_is_there_in_both_languages_with_the_same_places() -> None:
    for key, pair in TEXTS.items():
        places = [{name for _, name, _, _ in Formatter().parse(one) if name} for one in pair]
        assert all(pair), key
        assert places[0] == places[1], key


def test_every_text_of_the_templates_is_in_the_catalogue_and_none_is_left_over() -> None:
    pages = "".join(path.read_text(encoding="utf-8") for path in (FOLDER / "templates").iterdir())
    asked = set(re.findall(r"\bt\(\"(\w+)\"[,)]", pages)) | set(re.findall(r"\bt\('(\w+)'[,)]", pages))
    assert asked <= set(TEXTS), asked - set(TEXTS)
    code = "".join(path.read_text(encoding="utf-8") for path in FOLDER.glob("*.py") if path.name != "texts.py")
    # the rest are names of the messages' own values: kinds, severities, conditions, bands, answers
    values = (
        "critical warning info anomaly limit silent sensor_fault forecast_breach running idle off unknown none watch"
    )
    answers = "acknowledged confirmed false_alarm expected snoozed new_normal maintenance_done withdrawn"
    values += f" plan urgent failure {answers}"
    built = {
        f"{stem}{name}"
        for stem in ("span_", "group_", "sort_")
        for name in ["hour", "day", "week", "open", "shelved", "stale", "over", "all", "urgency", "newest", "machine"]
    }
    built |= {f"hold_{name}" for name in get_args(SuppressionReason)}
    built |= {f"means_{name}" for name in answers.split()}
    built |= {f"{stem}_{name}" for stem in ("do", "confirm") for name in ("promote", "rollback")}
    built |= {f"{stem}_{name}" for stem in ("done", "event") for name in ("promoted", "rolled_back")}
    left = {key for key in TEXTS if key not in asked and f'"{key}"' not in pages + code} - built - set(values.split())
    assert left == set()


def test_what_is_filled_into_a_text_cannot_write_into_the_page() -> None:
    assert text("en", "signed_in", name="<b>", scope="read") == "Signed in as &lt;b&gt; (read)"


@pytest.mark.parametrize(
    ("cookie", "accepted", "language"),
    [(None, None, "en"), ("de", "en", "de"), ("xx", "de-AT,en;q=0.5", "de"), (None, "fr, en", "en"), ("", "fr", "en")],
)
def test_the_language_is_the_reader_s(cookie: str | None, accepted: str | None, language: str) -> None:
    assert language_of(cookie, accepted) == language


@given(st.lists(st.floats(-1e6, 1e6), max_size=2_000), st.integers(10, 600))
def test_thinning_keeps_the_extremes_and_the_order(values: list[float], most: int) -> None:
    samples = [(float(index), value) for index, value in enumerate(values)]
    kept = thinned(samples, most)
    assert len(kept) <= max(most + 2, 1)
    assert [one[0] for one in kept] == sorted(one[0] for one in kept)
    assert set(kept) <= set(samples)
    if values:
        assert max(values) in {value for _, value in kept}
        assert min(values) in {value for _, value in kept}


def test_a_chart_shows_a_gap_as_a_gap() -> None:
    axis = Axis(start=0.0, end=100.0)
    moments = [*range(0, 40, 2), *range(80, 100, 2)]
    chart = line_chart(axis, [(float(moment), 1.0) for moment in moments])
    assert chart.line.count("M") == 2
    faster = [*range(0, 60, 10), *(60 + 0.5 * step for step in range(80))]
    assert line_chart(axis, [(float(moment), 1.0) for moment in faster]).line.count("M") == 1, "no gap, another pace"
    assert sparkline([0.1, None, 0.2, 0.3]).count("M") == 2


def test_a_span_that_is_not_on_the_axis_is_not_drawn() -> None:
    axis = Axis(start=100.0, end=200.0)
    assert axis.span(10, 90, "alert") is None
    assert axis.span(210, 290, "alert") is None
    inside = axis.span(50, 150, "alert")
    assert inside is not None
    assert (inside.x, inside.width) == (0.0, 500.0)
