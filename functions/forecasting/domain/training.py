"""Choose on folds, report on days that came after them, then fit on everything."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Final

import numpy as np

from functions.forecasting.domain import baselines, features, frame, metrics, model
from functions.forecasting.domain.additive import Additive, Design, Problem
from functions.forecasting.domain.frame import Frame
from functions.forecasting.domain.model import PROPHET, Backtest, Prediction, Trained
from functions.forecasting.domain.series import Days, Floats, Series, day
from layers.runtime.errors import InputError

FOLDS: Final = 3
MIN_FOLD: Final = 7
SHARE: Final = 5
MIN_SOLD: Final = 28
MIN_YEAR: Final = 500
LEVEL: Final = 0.95
GAIN: Final = 0.995


@dataclass(frozen=True)
class Fold:
    """What was known on the eve of row `frame.start`, and the sales (n,) of the days after it."""

    frame: Frame
    y: Floats

    @property
    def start(self) -> int:
        """First row that is forecast."""
        return self.frame.start

    @property
    def days(self) -> Days:
        """Days that are forecast, shape (n,)."""
        return self.frame.days[self.start :]

    def problem(self, design: Design) -> Problem:
        """The regression on the days before."""
        return Problem(self.frame, self.start, design)


def fold(series: Series, start: int, end: int) -> Fold:
    """Rows `start` to `end` as a fold."""
    return Fold(frame.build(series, end - start, start=start), np.maximum(series.y[start:end], 0.0))


@dataclass(frozen=True)
class Outcome:
    """The model, and what was forecast for the held-out days before they were seen: None where none were held out."""

    trained: Trained
    held: Prediction | None


def train(series: Series, *, history: str, holdout: int, now: datetime, level: float = LEVEL) -> Outcome:
    """Train one series; `holdout` is the days reported on, `level` that of the interval which is returned for them.

    The kind, the design and the width of the reported interval are taken from folds before the held-out days.
    Raises InputError for a series without observation.
    """
    if not series.observed:
        raise InputError(f"series {series.series_id} has no observation", field="y")
    rows = series.observed
    held = min(holdout, max(0, (rows - MIN_FOLD) // 3))
    tested = list(folds(series, rows - held, min(held, (rows - held) // SHARE)))
    design, left_out = choose_design(tested)
    kind, errors = choose_kind(tested, design)
    backtest = prediction = None
    if held:
        last = fold(series, rows - held, rows)
        held_out = _errors(last, kind, last.problem(design).fit() if kind == PROPHET and design else None)
        width = _measured(errors)
        backtest = _report(last, held_out, width)
        lower, upper = model.interval(width, held_out[1], level)
        prediction = Prediction(days=last.days, yhat=held_out[1], lower=lower, upper=upper)
        errors = [*errors, held_out]
    whole = frame.build(series, 1)
    fitted = Problem(whole, rows, design).fit() if kind == PROPHET and design else None
    trained = Trained(
        series_id=series.series_id,
        history=history,
        kind=kind,
        trained_at=now.isoformat(timespec="seconds"),
        additive=fitted,
        interval=_measured(errors),
        backtest=backtest,
        regressors=_used(kind, design, whole, rows),
        left_out=left_out,
    )
    return Outcome(trained, prediction)


def folds(series: Series, end: int, length: int) -> Iterator[Fold]:
    """Three consecutive windows of `length` days that end at row `end`, newest first; fewer when history is short."""
    length = max(length, MIN_FOLD)
    for i in range(FOLDS):
        start = end - (i + 1) * length
        if start < 2 * MIN_FOLD:
            return
        yield fold(series, start, start + length)


def choose_design(tested: list[Fold]) -> tuple[Design | None, tuple[str, ...]]:
    """The seasons and regressors that help on the folds, added group by group; None when history is too short.

    Also names the file's columns that are left out because they measure the sales themselves.
    """
    if not tested:
        return None, ()
    first = tested[-1].frame
    known = np.isfinite(first.selling) & (first.selling > 0)
    if known.sum() < MIN_SOLD:
        return None, ()
    groups = features.groups(first, known)
    everything = tuple(c for columns in groups.values() for c in columns)
    span = int(np.flatnonzero(known)[-1] - np.flatnonzero(known)[0])
    scale = features.scales(first, everything, known)
    design = Design(weekly=True, yearly=span >= MIN_YEAR, columns=everything, scale=scale)
    problems = [one.problem(design) for one in tested]

    def loss(candidate: Design) -> float:
        return _wape([_errors(f, PROPHET, p.approximate(candidate)) for f, p in zip(tested, problems, strict=True)])

    best = design.model_copy(update={"columns": tuple(groups["file"])})
    score = loss(best)
    for more in ("weekday", "closed", "month", None):
        if more:
            trial = best.model_copy(update={"columns": best.columns + tuple(groups[more])})
        else:
            trial = best.model_copy(update={"yearly": False})
        if trial != best and (trial_score := loss(trial)) < score * GAIN:
            best, score = trial, trial_score
    return best, features.outcomes(first, known)


Errors = tuple[Floats, Floats, Floats]


def choose_kind(tested: list[Fold], design: Design | None) -> tuple[str, list[Errors]]:
    """The kind with the smallest WAPE over all folds, and its (sales, forecast, open) on each."""
    kinds = [*baselines.BASELINES, *([PROPHET] if design else [])]
    results: dict[str, list[Errors]] = {kind: [] for kind in kinds}
    for one in tested:
        fitted = one.problem(design).approximate() if design else None
        for kind in kinds:
            results[kind].append(_errors(one, kind, fitted))
    scores = {kind: _wape(errors) for kind, errors in results.items()}
    winner = min(kinds, key=lambda kind: scores[kind] if np.isfinite(scores[kind]) else np.inf)
    if not np.isfinite(scores[winner]):
        winner = baselines.WEEKDAY_MEAN
    return winner, results[winner]


def _errors(one: Fold, kind: str, fitted: Additive | None) -> Errors:
    return one.y, model.middle(kind, fitted, one.frame, one.start), one.frame.open[one.start :]


def _wape(errors: list[Errors]) -> float:
    if not errors:
        return float("nan")
    return metrics.wape(np.concatenate([e[0] for e in errors]), np.concatenate([e[1] for e in errors]))


def _measured(errors: list[Errors]) -> model.Interval:
    y, yhat, opened = (np.concatenate([e[i] for e in errors]) if errors else np.zeros(0) for i in range(3))
    return model.measure(y, yhat, opened)


def _report(held: Fold, errors: Errors, width: model.Interval) -> Backtest:
    y, yhat, opened = errors
    lower, upper = model.interval(width, yhat, LEVEL)
    rivals = {k: metrics.wape(y, _errors(held, k, None)[1]) for k in baselines.BASELINES}
    rival = min(rivals, key=lambda k: rivals[k] if np.isfinite(rivals[k]) else np.inf)
    ours = metrics.wape(y, yhat)
    return Backtest(
        start=str(day(held.days[0])),
        end=str(day(held.days[-1])),
        rmspe=_finite(metrics.rmspe(y, yhat)),
        wape=_finite(ours),
        bias=_finite(metrics.bias(y, yhat)),
        coverage=_finite(metrics.coverage(y, lower, upper, opened)),
        baseline=rival,
        baseline_wape=_finite(rivals[rival]),
        skill=_finite(1 - ours / rivals[rival]) if rivals[rival] > 0 else None,
    )


def _finite(value: float) -> float | None:
    return value if np.isfinite(value) else None


def _used(kind: str, design: Design | None, whole: Frame, rows: int) -> tuple[str, ...]:
    if kind == PROPHET and design:
        return tuple(c.removeprefix("x:") for c in design.columns if c.startswith("x:"))
    name = baselines.promotion(whole, rows)
    return (name,) if kind == baselines.WEEKDAY_MEAN and name else ()
