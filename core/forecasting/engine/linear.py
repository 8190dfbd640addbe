"""Linear members: for each step one regression of the deviation from the profile, fitted on one origin a day."""

from typing import Final

import numpy as np

from core.arrays import Features, Floats

Singles = Features

_REWEIGHTINGS: Final = 4
_LEAST_RESIDUAL: Final = 0.05  # of the mean one; smaller residuals are weighted as if they were that large
_TINY: Final = np.float32(1e-6)


def ridge(
    inputs: Singles, targets: Floats, *, penalty: float, absolute: bool = False, columns: int | None = None
) -> Singles:
    """Return coefficients (s, f + 1), constant last, of regressions of targets (s, o), NaN: unknown, on (s, o, f).

    penalty: of the squared coefficients of standardised inputs and targets. absolute: least absolute instead of least
    squared residuals, by reweighting. columns: number of inputs used, the first ones; the others get 0.
    """
    width = inputs.shape[2] if columns is None else columns
    weights = (~np.isnan(targets)).astype(np.float32)
    goal = np.nan_to_num(targets).astype(np.float32)
    count = np.maximum(weights.sum(axis=1), 1)
    centre = np.einsum("sof,so->sf", inputs[:, :, :width], weights) / count[:, None]
    x = np.empty((*inputs.shape[:2], width + 1), np.float32)
    x[:, :, width] = 1
    np.subtract(inputs[:, :, :width], centre[:, None, :], out=x[:, :, :width])
    spread = np.sqrt(np.einsum("sof,sof,so->sf", x[:, :, :width], x[:, :, :width], weights) / count[:, None])
    spread[spread <= _TINY * (1 + np.abs(centre))] = np.inf  # constant inputs carry no information
    x[:, :, :width] /= spread[:, None, :]
    middle = (goal * weights).sum(axis=1) / count
    y = (goal - middle[:, None]) * weights
    scale = np.sqrt((y**2).sum(axis=1) / count) + _TINY
    y /= scale[:, None]
    found = _solved(x, y, weights, penalty)
    for _ in range(_REWEIGHTINGS if absolute else 0):
        residual = np.abs(y - np.matmul(x, found[:, :, None])[:, :, 0])
        usual = (residual * weights).sum(axis=1) / count
        reweighted = weights / np.maximum(residual, _LEAST_RESIDUAL * usual[:, None] + _TINY)
        reweighted *= (count / np.maximum(reweighted.sum(axis=1), _TINY))[:, None]
        found = _solved(x, y, reweighted, penalty)
    coefficients = np.zeros((inputs.shape[0], inputs.shape[2] + 1), np.float32)
    slopes = found[:, :width] / spread * scale[:, None]
    coefficients[:, :width] = slopes
    coefficients[:, -1] = middle + scale * found[:, width] - (slopes * centre).sum(axis=1)
    return coefficients


def applied(coefficients: Singles, inputs: Singles) -> Floats:
    """Return the predictions (o, s) of regressions (s, f + 1) for inputs (s, o, f)."""
    products = np.matmul(inputs.astype(np.float64), coefficients[:, :-1, None].astype(np.float64))[:, :, 0]
    return np.asarray((products + coefficients[:, -1:]).T, np.float64)


def _solved(x: Singles, y: Singles, weights: Singles, penalty: float) -> Singles:
    weighted = x * weights[:, :, None]
    gram = np.matmul(x.transpose(0, 2, 1), weighted).astype(np.float64)
    right = np.matmul(weighted.transpose(0, 2, 1), y[:, :, None]).astype(np.float64)
    diagonal = np.arange(gram.shape[1])
    gram[:, diagonal, diagonal] += penalty
    gram[:, -1, -1] += 1e-3 - penalty  # the constant is free
    return np.linalg.solve(gram, right)[:, :, 0].astype(np.float32)
