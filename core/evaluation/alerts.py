"""Figures of alerts against labelled stretches: detections, false alerts and delays."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

import numpy as np

from core.arrays import Bools, Floats, Ints
from core.evaluation.flags import stretches

WEEK_SECONDS: Final = 7 * 86_400.0


@dataclass(frozen=True, slots=True, kw_only=True)
class AlertCourse:
    """Alerts of one machine over its n readings.

    timestamps (n,), epoch s, rising. opened (n,): alerts opened by each reading. open (n,): one is open after it.
    truth (n,): labelled anomalous.
    """

    timestamps: Floats
    opened: Ints
    open: Bools
    truth: Bools


@dataclass(frozen=True, slots=True, kw_only=True)
class AlertFigures:
    """Figures of the alerts of several machines.

    false_openings: outside any labelled stretch. stretches_alerted: in which an alert opened; stretches_covered: in
    which one was open. median_delay of those alerted, from a stretch's first reading to the first opening. open_after:
    share of the unlabelled readings after a stretch's end on which an alert is open.
    """

    openings: int
    false_openings: int
    stretches: int
    stretches_alerted: int
    stretches_covered: int
    median_delay_seconds: float | None
    median_delay_readings: float | None
    open_after: float | None
    openings_per_machine_week: float | None
    false_per_machine_week: float | None


def alert_figures(courses: Iterable[AlertCourse]) -> AlertFigures:
    """Return the figures of the alerts of all machines together."""
    openings = false = alerted = covered = labelled = open_after = rows_after = 0
    weeks = 0.0
    delays: list[tuple[float, int]] = []
    for course in courses:
        if not len(course.timestamps):
            continue
        weeks += float(course.timestamps[-1] - course.timestamps[0]) / WEEK_SECONDS
        openings += int(course.opened.sum())
        false += int(course.opened[~course.truth].sum())
        found = stretches(course.truth)
        labelled += len(found)
        for begin, end in found:
            covered += bool(course.open[begin:end].any())
            first = np.flatnonzero(course.opened[begin:end])
            if len(first):
                alerted += 1
                at = begin + int(first[0])
                delays.append((float(course.timestamps[at] - course.timestamps[begin]), int(first[0])))
        if found:
            after = np.arange(len(course.truth)) >= found[0].end
            after &= ~course.truth
            rows_after += int(after.sum())
            open_after += int(course.open[after].sum())
    middle = np.median(np.array(delays), axis=0).tolist() if delays else (None, None)
    return AlertFigures(
        openings=openings,
        false_openings=false,
        stretches=labelled,
        stretches_alerted=alerted,
        stretches_covered=covered,
        median_delay_seconds=middle[0],
        median_delay_readings=middle[1],
        open_after=open_after / rows_after if rows_after else None,
        openings_per_machine_week=openings / weeks if weeks else None,
        false_per_machine_week=false / weeks if weeks else None,
    )
