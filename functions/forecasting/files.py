"""Forecasts of a file without any cloud: what `trefoil forecast` runs for each series."""

import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

import numpy as np

from functions.forecasting.domain import frame, metrics, model
from functions.forecasting.domain.model import Prediction, Trained
from functions.forecasting.domain.series import Series
from functions.forecasting.domain.training import longest_holdout, train

DEFAULT_HOLDOUT = (14, 56)


@dataclass(frozen=True)
class Task:
    """One series to forecast; `backtest` days are held out, or as many as the horizon (14 to 56) when None.

    The horizon begins after `as_of`, or after the last observation when None. Regressors in `known` are known
    beforehand, as planned ones are.
    """

    series: Series
    horizon: int
    level: float
    backtest: int | None
    now: datetime
    as_of: date | None = None
    known: tuple[str, ...] = ()


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
    start = task.series.row(task.as_of) + 1 if task.as_of else task.series.observed
    learnt = frame.eve(task.series, task.series.observed, task.known, newest=start)
    outcome = train(learnt, history="", holdout=holdout, now=task.now, level=task.level, known=task.known)
    laid = frame.build(task.series, task.horizon, start=start)
    predicted = model.forecast(outcome.trained, laid, task.level)
    said = model.caveats(outcome.trained, laid)
    if (most := longest_holdout(task.series.observed)) < (task.backtest or 0):
        said.append(f"backtest: {most} days, not {task.backtest}: at most a third of the series is held out")
    return Result(outcome.trained, predicted, outcome.held, tuple(said), time.perf_counter() - started)


def overall(pairs: list[tuple[Series, Result]]) -> dict[str, Any]:
    """Means over series of each figure of the backtest, leaving out what has no value; `pooled` are the figures of all
    held-out days together, in which a large series weighs more."""
    names = ("rmspe", "wape", "bias", "coverage", "baseline_wape", "skill")
    tested = [result.trained.backtest for _, result in pairs if result.trained.backtest]
    means: dict[str, Any] = {"series": len(pairs), "backtested": len(tested)}
    for name in names:
        values = [value for value in (getattr(b, name) for b in tested) if value is not None]
        means[name] = float(np.mean(values)) if values else None
    held = [(series, result.held) for series, result in pairs if result.held]
    y, yhat = (
        np.concatenate([*parts, np.zeros(0)]) for parts in ([_sales(*h) for h in held], [h.yhat for _, h in held])
    )
    figures = {"wape": metrics.wape(y, yhat), "rmspe": metrics.rmspe(y, yhat)}
    return means | {"pooled": {name: value if np.isfinite(value) else None for name, value in figures.items()}}


def _sales(series: Series, held: Prediction) -> Any:
    return series.y[np.isin(series.days, held.days)]


def left_out(series: Series, trained: Trained) -> Mapping[str, str]:
    """Why each regressor of the series is not used."""
    reasons = dict.fromkeys(trained.left_out, "moves with the sales themselves")
    unused = [name for name in series.regressors if name not in trained.regressors]
    return {name: reasons.get(name, "varies too little, or did not help") for name in unused}
