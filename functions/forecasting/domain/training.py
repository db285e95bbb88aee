"""Choose on folds, report on days that came after them, then fit on everything."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Final

import numpy as np

from functions.forecasting.domain import baselines, features, frame, metrics, model
from functions.forecasting.domain.additive import Additive, Design, Problem, predict
from functions.forecasting.domain.frame import Frame
from functions.forecasting.domain.model import PROPHET, Backtest, Prediction, Trained
from functions.forecasting.domain.series import Floats, Series, day
from layers.runtime.errors import InputError

FOLDS: Final = 3
MIN_FOLD: Final = 7
MIN_SOLD: Final = 42
MIN_YEAR: Final = 500
LEVEL: Final = 0.95
GAIN: Final = 0.995


@dataclass(frozen=True)
class Fold:
    """Forecast rows `start` to `end` from the rows before."""

    start: int
    end: int


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
    whole = frame.build(series, 1)
    rows = series.observed
    held = min(holdout, max(0, (rows - MIN_FOLD) // 3))
    before = rows - held
    tested = list(folds(before, held or MIN_FOLD))
    design, left_out = choose_design(whole, before, tested)
    kind, errors = choose_kind(whole, tested, design)
    backtest = prediction = None
    if held:
        held_out = _held_out(whole, Fold(before, rows), kind, design)
        width = _measured(errors)
        backtest = _report(whole, Fold(before, rows), held_out, width)
        lower, upper = model.interval(width, held_out[1], level)
        prediction = Prediction(days=whole.days[before:rows], yhat=held_out[1], lower=lower, upper=upper)
        errors = [*errors, held_out]
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


def folds(end: int, length: int) -> Iterator[Fold]:
    """Up to three consecutive windows that end at `end`, newest first, each with twice its length before it."""
    for i in range(FOLDS):
        start = end - (i + 1) * length
        if start < max(2 * length, 2 * MIN_FOLD):
            return
        yield Fold(start, start + length)


def choose_design(whole: Frame, end: int, tested: list[Fold]) -> tuple[Design | None, tuple[str, ...]]:
    """The seasons and regressors that help on the folds, added group by group; None when history is too short.

    Also names the file's columns that are left out because they measure the sales themselves.
    """
    first = min((fold.start for fold in tested), default=end)
    mask = np.isfinite(whole.selling) & (whole.selling > 0)
    known = mask & (np.arange(len(mask)) < first)
    if known.sum() < MIN_SOLD or not tested:
        return None, ()
    groups = features.groups(whole, known)
    left_out = features.outcomes(whole, known)
    everything = tuple(c for columns in groups.values() for c in columns)
    span = int(np.flatnonzero(known)[-1] - np.flatnonzero(known)[0])
    design = Design(
        weekly=True, yearly=span >= MIN_YEAR, columns=everything, scale=features.scales(whole, everything, known)
    )
    problems = [Problem(whole, fold.start, design) for fold in tested]

    def loss(candidate: Design) -> float:
        pairs = [
            (whole.y[f.start : f.end], predict(p.approximate(candidate), whole)[f.start : f.end])
            for p, f in zip(problems, tested, strict=True)
        ]
        return metrics.wape(np.concatenate([y for y, _ in pairs]), np.concatenate([yhat for _, yhat in pairs]))

    best = design.model_copy(update={"columns": tuple(groups["file"])})
    score = loss(best)
    options = [("columns", tuple(groups[name])) for name in ("weekday", "closed", "month") if groups[name]]
    for name, columns in options:
        trial = best.model_copy(update={name: best.columns + columns})
        if (trial_score := loss(trial)) < score * GAIN:
            best, score = trial, trial_score
    if best.yearly:
        trial = best.model_copy(update={"yearly": False})
        if (trial_score := loss(trial)) < score * GAIN:
            best, score = trial, trial_score
    return best, left_out


Errors = tuple[Floats, Floats, Floats]


def choose_kind(whole: Frame, tested: list[Fold], design: Design | None) -> tuple[str, list[Errors]]:
    """The kind with the smallest WAPE over all folds, and its (sales, forecast, open) on each."""
    kinds = [*baselines.BASELINES, *([PROPHET] if design else [])]
    results: dict[str, list[Errors]] = {kind: [] for kind in kinds}
    for fold in tested:
        fitted = Problem(whole, fold.start, design).approximate() if design else None
        for kind in kinds:
            results[kind].append(_errors(whole, fold, kind, fitted))
    scores = {kind: _wape(errors) for kind, errors in results.items()}
    winner = min(kinds, key=lambda kind: scores[kind] if np.isfinite(scores[kind]) else np.inf)
    if not tested or not np.isfinite(scores[winner]):
        winner = baselines.WEEKDAY_MEAN
    return winner, results[winner]


def _errors(whole: Frame, fold: Fold, kind: str, fitted: Additive | None) -> Errors:
    size = fold.end - fold.start
    yhat = model.middle(kind, fitted, whole, fold.start)[:size]
    return whole.y[fold.start : fold.end], yhat, whole.open[fold.start : fold.end]


def _wape(errors: list[Errors]) -> float:
    if not errors:
        return float("nan")
    return metrics.wape(np.concatenate([e[0] for e in errors]), np.concatenate([e[1] for e in errors]))


def _measured(errors: list[Errors]) -> model.Interval:
    y, yhat, opened = (np.concatenate([e[i] for e in errors]) if errors else np.zeros(0) for i in range(3))
    return model.measure(y, yhat, opened)


def _held_out(whole: Frame, held: Fold, kind: str, design: Design | None) -> Errors:
    fitted = Problem(whole, held.start, design).fit() if kind == PROPHET and design else None
    return _errors(whole, held, kind, fitted)


def _report(whole: Frame, held: Fold, errors: Errors, width: model.Interval) -> Backtest:
    y, yhat, opened = errors
    lower, upper = model.interval(width, yhat, LEVEL)
    rivals = {k: metrics.wape(y, _errors(whole, held, k, None)[1]) for k in baselines.BASELINES}
    rival = min(rivals, key=lambda k: rivals[k] if np.isfinite(rivals[k]) else np.inf)
    ours = metrics.wape(y, yhat)
    return Backtest(
        start=str(day(whole.days[held.start])),
        end=str(day(whole.days[held.end - 1])),
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
