"""How far a forecast was off, on the days that have an observation."""

import numpy as np

from functions.forecasting.domain.series import Floats


def wape(y: Floats, yhat: Floats) -> float:
    """Sum of absolute errors over the sum of sales; NaN when nothing was sold."""
    known = np.isfinite(y)
    total = float(np.abs(y[known]).sum())
    return float(np.abs(y - yhat)[known].sum()) / total if total > 0 else float("nan")


def rmspe(y: Floats, yhat: Floats) -> float:
    """Root mean squared percentage error over days that are not 0 (Rossmann's measure); NaN when there is none."""
    sold = np.isfinite(y) & (y != 0)
    return float(np.sqrt(np.mean(((y - yhat)[sold] / y[sold]) ** 2))) if sold.any() else float("nan")


def bias(y: Floats, yhat: Floats) -> float:
    """Forecast minus sales, in shares of the sales; NaN when nothing was sold."""
    known = np.isfinite(y)
    total = float(np.abs(y[known]).sum())
    return float((yhat - y)[known].sum()) / total if total > 0 else float("nan")


def coverage(y: Floats, lower: Floats, upper: Floats, opened: Floats) -> float:
    """Share of observed open days that lie within the interval; NaN when there is none."""
    known = np.isfinite(y) & (opened > 0)
    inside = (y >= lower - 1e-9) & (y <= upper + 1e-9)
    return float(inside[known].mean()) if known.any() else float("nan")
