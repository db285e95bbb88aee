"""Forecasts of a file without any cloud: what `trefoil forecast` runs for each series."""

import time
from dataclasses import dataclass
from datetime import datetime

import numpy as np

from functions.forecasting.domain import frame, model
from functions.forecasting.domain.model import Prediction, Trained
from functions.forecasting.domain.series import Series
from functions.forecasting.domain.training import train

DEFAULT_HOLDOUT = (14, 56)


@dataclass(frozen=True)
class Task:
    """One series to forecast; `backtest` days are held out, or as many as the horizon (14 to 56) when None."""

    series: Series
    horizon: int
    level: float
    backtest: int | None
    now: datetime


@dataclass(frozen=True)
class Result:
    """The model of a series, its forecast, what was forecast for the held-out days, and the seconds it took."""

    trained: Trained
    forecast: Prediction
    held: Prediction | None
    assumptions: tuple[str, ...]
    seconds: float


def forecast_one(task: Task) -> Result:
    """Train a series and forecast it. Raises InputError for a series without observation."""
    started = time.perf_counter()
    low, high = DEFAULT_HOLDOUT
    holdout = task.backtest if task.backtest is not None else min(max(task.horizon, low), high)
    outcome = train(task.series, history="", holdout=holdout, now=task.now, level=task.level)
    laid = frame.build(task.series, task.horizon)
    predicted = model.forecast(outcome.trained, laid, task.level)
    held = outcome.held if task.backtest else None
    return Result(outcome.trained, predicted, held, laid.assumptions, time.perf_counter() - started)


def overall(results: list[Result]) -> dict[str, float | int | None]:
    """Means over series of each figure of the backtest, leaving out what has no value."""
    names = ("rmspe", "wape", "bias", "coverage", "baseline_wape", "skill")
    tested = [r.trained.backtest for r in results if r.trained.backtest]
    means: dict[str, float | int | None] = {"series": len(results), "backtested": len(tested)}
    for name in names:
        values = [value for value in (getattr(b, name) for b in tested) if value is not None]
        means[name] = float(np.mean(values)) if values else None
    return means
