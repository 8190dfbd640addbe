"""Tree model of the hours to failure, which implements `core.models.LifetimeModel`, and its model.json."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Final, Literal, Self

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, model_validator

from core.arrays import Features, Floats

_IN_SIGHT: Final = 0.9  # of the cap: estimates above it are indistinguishable from the cap


class Spread(BaseModel):
    """Interval around an estimate, by the size of the estimate."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    knots: Annotated[tuple[float, ...], Field(min_length=1, description="estimated hours, rising")]
    below: Annotated[tuple[float, ...], Field(description="hours from the estimate to the lower end, by knot")]
    above: Annotated[tuple[float, ...], Field(description="hours from the estimate to the upper end, by knot")]

    @model_validator(mode="after")
    def _agrees(self) -> Self:
        if not len(self.knots) == len(self.below) == len(self.above) or min(*self.below, *self.above) < 0:
            message = "below and above must have a distance of at least 0 for each knot"
            raise ValueError(message)
        return self

    def around(self, estimate: Floats) -> Floats:
        """Return lower end, estimate and upper end, (n, 3), of estimated hours, (n,)."""
        low = np.maximum(estimate - np.interp(estimate, self.knots, self.below), 0.0)
        return np.column_stack([low, estimate, estimate + np.interp(estimate, self.knots, self.above)])


class LifetimeDocument(BaseModel):
    """model.json of the tree model, which was fitted to recorded failures.

    A column of the graph is a feature, or the difference of two. The target was capped in training.
    """

    model_config = ConfigDict(frozen=True, extra="ignore")

    kind: Literal["hours_to_failure"] = "hours_to_failure"
    feature_names: Annotated[tuple[str, ...], Field(min_length=1, description="columns of a feature row, in order")]
    anchors: Annotated[tuple[tuple[float, float], ...], Field(description="(hours to failure, risk), hours falling")]
    columns: Annotated[tuple[tuple[int, int | None], ...], Field(min_length=1, description="feature, minus another")]
    cap_hours: Annotated[float, Field(gt=0, description="hours to failure beyond which all are alike")]
    level: Annotated[float, Field(gt=0, lt=1, description="share of failures within the interval")]
    spread: Spread

    @model_validator(mode="after")
    def _agrees(self) -> Self:
        named = {index for pair in self.columns for index in pair if index is not None}
        if not named <= set(range(len(self.feature_names))):
            message = f"columns name features from 0 to {len(self.feature_names) - 1}"
            raise ValueError(message)
        return self


def inputs_of(features: Features, columns: tuple[tuple[int, int | None], ...]) -> Features:
    """Return the graph's columns, (n, C), of feature rows, (n, Fm): a feature each, or the difference of two."""
    found = np.asarray(features, dtype=np.float32)[:, [first for first, _ in columns]]
    for column, (_, less) in enumerate(columns):
        if less is not None:
            found[:, column] -= features[:, less]
    return found


@dataclass(frozen=True, kw_only=True)
class TreesLifetimeModel:
    """Tree model of the hours to failure, as `core.models.LifetimeModel`."""

    name: str
    version: str
    forest: Callable[[Features], Floats]
    document: LifetimeDocument

    def estimate(self, features: Features) -> Floats:
        """Return hours to failure from 0 to the cap: float32[n, F] to float64[n]."""
        return np.clip(self.forest(inputs_of(features, self.document.columns)), 0.0, self.document.cap_hours)

    def risk(self, features: Features) -> Floats:
        """Return risk levels in [0, 3]: float32[n, F] to float64[n]."""
        hours, levels = np.array(self.document.anchors).T[:, ::-1]
        return np.asarray(np.interp(self.estimate(features), hours, levels))

    def hours_to_failure(self, features: Features) -> Floats:
        """Return lower end, estimate and upper end in hours: float32[n, F] to float64[n, 3]; NaN near the cap."""
        estimate = self.estimate(features)
        seen = estimate < _IN_SIGHT * self.document.cap_hours
        return np.where(seen[:, None], self.document.spread.around(estimate), np.nan)
