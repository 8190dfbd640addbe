"""The published names of forecasting models: one definition each, and one algorithm behind each.

They stand in messages (`model`, `replaces`, `backtest.compared`), in manifests, settings, options and documents.
"""

from typing import Final, Literal, get_args

CandidateName = Literal["lightgbm", "mstl"]
"""Forecasters of the extra `forecasters`, which may answer instead of the blend."""
PublishedName = Literal["blend", "seasonal_median", "prophet"]
"""Models that the trainer compares for each machine and publishes the best of."""

BLEND: Final = "blend"
PROPHET: Final = "prophet"
CANDIDATES: Final[tuple[CandidateName, ...]] = get_args(CandidateName)
PUBLISHED: Final[tuple[PublishedName, ...]] = get_args(PublishedName)

SEASONAL_MEDIAN: Final = "seasonal_median"
"""Median of the newest four values of the same phase: the baseline that others must beat, and the fallback."""
CLASS_MEDIANS: Final = ("class_median", "long_class_median")
"""Members of the blend that are medians over all working days, or all Saturdays, of some weeks."""
BASELINES: Final = (SEASONAL_MEDIAN, "long_median", "weighted_mean", "naive_day", *CLASS_MEDIANS)
"""Members of the blend that need no fit."""
OF_LOGARITHMS: Final = "ridge_of_logarithms"
LINEAR: Final = ("absolute_deviations", "ridge", "absolute", OF_LOGARITHMS)
"""Members of the blend that are fitted."""
ANALOGUES: Final = ("analogues", "wide_analogues")
"""Members of the blend that are medians of what followed similar states."""
MEDIANS: Final = (SEASONAL_MEDIAN, "long_median", *CLASS_MEDIANS, *ANALOGUES)
"""Members that are medians of what was, and so always something that was."""
MEMBERS: Final = BASELINES + LINEAR + ANALOGUES
WITH_INPUTS: Final = ("ridge_with_inputs", "absolute_with_inputs")
"""Members of the blend where known-future inputs are given."""

TYPE_PROFILE: Final = "type_profile"
DAILY_MEDIAN: Final = "daily_median"
LEVEL: Final = "level"
NO_HISTORY: Final = "no_history"
COLD: Final = (TYPE_PROFILE, DAILY_MEDIAN, LEVEL, NO_HISTORY)
"""What answers while a series is too short to be judged."""

PLANT_SUM: Final = "sum"
"""A plant's forecast: the sum of its machines'."""
NAIVE_WEEK: Final = "naive_week"
"""The same hour of the week before; a row of the back-test that never answers."""

ALL: Final = (BLEND, PROPHET, *CANDIDATES, *MEMBERS, *WITH_INPUTS, *COLD, PLANT_SUM, NAIVE_WEEK)
