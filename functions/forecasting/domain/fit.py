"""Choose on folds, report on days that came after them, then fit on everything."""

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Final

import numpy as np

from functions.forecasting.contracts import Backtest
from functions.forecasting.domain import baselines, features, frame, model, report
from functions.forecasting.domain.additive import Additive, Design, Problem
from functions.forecasting.domain.frame import Frame
from functions.forecasting.domain.model import APPROXIMATION, PROPHET, Prediction, Trained
from functions.forecasting.domain.series import Days, Floats, Series, day
from layers.runtime.errors import InputError

FOLDS: Final = 3
MIN_FOLD: Final = 7
SHARE: Final = 5
MIN_SOLD: Final = 28
MIN_YEAR: Final = 500
LEVEL: Final = 0.95
GAIN: Final = 0.995
RETURNS: Final = 0.01


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


def fold(series: Series, start: int, end: int, known: Collection[str] = ()) -> Fold:
    """Rows `start` to `end` as a fold; regressors in `known` are known beforehand, as planned ones are."""
    return Fold(frame.build(series, end - start, start=start, known=known), series.y[start:end])


@dataclass(frozen=True)
class Outcome:
    """The model, and what was forecast for the held-out days before they were seen: None where none were held out."""

    trained: Trained
    held: Prediction | None


def longest_holdout(rows: int) -> int:
    """Most days that can be held out of `rows` days: a third, so that enough is left to choose on."""
    return max(0, (rows - MIN_FOLD) // 3)


def train(
    series: Series,
    *,
    history: str,
    holdout: int,
    now: datetime,
    level: float = LEVEL,
    known: Collection[str] = (),
    exact: bool = True,
) -> Outcome:
    """Train one series; `holdout` is the days reported on, `level` that of the interval which is returned for them.

    The kind, the design and the width of the reported interval are taken from folds before the held-out days.
    Regressors in `known` are known beforehand, as planned ones are. Unless `exact`, the numpy approximation stands for
    Prophet, which is not imported. Where Prophet cannot be fitted, the better baseline is served, and the notes say so.
    Raises InputError for a series without observation.
    """
    if not series.observed:
        raise InputError(f"series {series.series_id} has no observation", field="y")
    rows = series.observed
    held = min(holdout, longest_holdout(rows))
    tested = list(folds(series, rows - held, min(held, (rows - held) // SHARE), known))
    last = fold(series, rows - held, rows, known) if held else None
    stem = Trained(
        series_id=series.series_id,
        history=history,
        kind=baselines.WEEKDAY_MEAN,
        trained_at=now.isoformat(timespec="seconds"),
        additive=None,
        interval=model.measure(*np.zeros((3, 0)), floor=_floor(series.y[: rows - held])),
        backtest=None,
    )
    try:
        design, left_out = choose_design(tested, log=stem.interval.floor == 0)
        stem = stem.model_copy(update={"left_out": left_out})
        return _fitted(stem, series, tested, last, design, level, exact=exact)
    except (ArithmeticError, RuntimeError, np.linalg.LinAlgError) as exc:
        stem = stem.model_copy(update={"notes": (f"Prophet could not be fitted ({type(exc).__name__})",)})
        return _fitted(stem, series, tested, last, None, level, exact=exact)


def _floor(y: Floats) -> float:
    """The lowest of sales (n,) if those below zero are more than stray days, so that no logarithm fits; else zero."""
    known = y[np.isfinite(y)]
    return float(known.min()) if len(known) and (known < 0).mean() > RETURNS else 0.0


def _fitted(
    stem: Trained,
    series: Series,
    tested: list[Fold],
    last: Fold | None,
    design: Design | None,
    level: float,
    *,
    exact: bool,
) -> Outcome:
    """The better kind on the folds `tested`, reported on `last` and fitted on everything."""
    floor, fitted = stem.interval.floor, Problem.fit if exact else Problem.approximate
    kind, errors = choose_kind(tested, design)
    design = design if kind == PROPHET else None
    backtest = prediction = None
    if last:
        held_out = _errors(last, kind, fitted(last.problem(design)) if design else None)
        width = _measured(errors, floor=floor)
        backtest = _report(last, held_out, width)
        lower, upper = model.interval(width, held_out[1], level)
        prediction = Prediction(days=last.days, yhat=held_out[1], lower=lower, upper=upper)
        errors = [*errors, held_out]
    whole = frame.build(series, 1)
    trained = stem.model_copy(
        update={
            "kind": kind if exact or not design else APPROXIMATION,
            "additive": fitted(Problem(whole, whole.start, design)) if design else None,
            "interval": _measured(errors, floor=floor),
            "backtest": backtest,
            "regressors": _used(kind, design, whole),
        }
    )
    return Outcome(trained, prediction)


def folds(series: Series, end: int, length: int, known: Collection[str] = ()) -> Iterator[Fold]:
    """Three consecutive windows of `length` days that end at row `end`, newest first; fewer when history is short."""
    length = max(length, MIN_FOLD)
    for i in range(FOLDS):
        start = end - (i + 1) * length
        if start < 2 * MIN_FOLD:
            return
        yield fold(series, start, start + length, known)


def choose_design(tested: list[Fold], *, log: bool = True) -> tuple[Design | None, tuple[str, ...]]:
    """The seasons and regressors that help on the folds, tried group by group; None when history is too short.

    Also names the file's columns that are left out because they measure the sales themselves.
    """
    if not tested:
        return None, ()
    first = tested[-1].frame
    known = (first.selling > 0) if log else np.isfinite(first.selling)
    if known.sum() < MIN_SOLD:
        return None, ()
    groups = features.groups(first, known)
    everything = tuple(c for columns in groups.values() for c in columns)
    span = int(np.flatnonzero(known)[-1] - np.flatnonzero(known)[0])
    scale = features.scales(first, everything, known)
    design = Design(weekly=True, yearly=span >= MIN_YEAR, columns=everything, scale=scale, log=log)
    problems = [one.problem(design) for one in tested]

    def loss(candidate: Design) -> float:
        return _wape([_errors(f, PROPHET, p.approximate(candidate)) for f, p in zip(tested, problems, strict=True)])

    best = design.model_copy(update={"columns": tuple(groups["file"])})
    score = loss(best)
    groups["assumed"] = [c for c in everything if features.of_file(c) in first.assumed]
    for change in ("assumed", "weekday", "closed", "month", "year"):
        trial = _changed(best, change, groups)
        if trial != best and (trial_score := loss(trial)) < score * GAIN:
            best, score = trial, trial_score
    return best, features.outcomes(first, known)


def _changed(design: Design, change: str, groups: dict[str, list[str]]) -> Design:
    """With one more group of columns, without the season of the year, or without what the future does not tell."""
    if change == "year":
        return design.model_copy(update={"yearly": False})
    if change == "assumed":
        return design.model_copy(update={"columns": tuple(c for c in design.columns if c not in groups[change])})
    more = [c for c in groups[change] if not features.of_file(c) or f"x:{features.of_file(c)}" in design.columns]
    return design.model_copy(update={"columns": design.columns + tuple(more)})


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
    return report.wape(np.concatenate([e[0] for e in errors]), np.concatenate([e[1] for e in errors]))


def _measured(errors: list[Errors], *, floor: float) -> model.Interval:
    y, yhat, opened = (np.concatenate([e[i] for e in errors]) if errors else np.zeros(0) for i in range(3))
    return model.measure(y, yhat, opened, floor=floor)


def _report(held: Fold, errors: Errors, width: model.Interval) -> Backtest:
    y, yhat, opened = errors
    lower, upper = model.interval(width, yhat, LEVEL)
    rivals = {k: report.wape(y, _errors(held, k, None)[1]) for k in baselines.BASELINES}
    rival = min(rivals, key=lambda k: rivals[k] if np.isfinite(rivals[k]) else np.inf)
    ours = report.wape(y, yhat)
    return Backtest(
        start=day(held.days[0]),
        end=day(held.days[-1]),
        rmspe=_finite(report.rmspe(y, yhat)),
        wape=_finite(ours),
        bias=_finite(report.bias(y, yhat)),
        coverage=_finite(report.coverage(y, lower, upper, opened)),
        baseline=rival,
        baseline_wape=_finite(rivals[rival]),
        skill=_finite(1 - ours / rivals[rival]) if rivals[rival] > 0 else None,
    )


def _finite(value: float) -> float | None:
    return value if np.isfinite(value) else None


def _used(kind: str, design: Design | None, whole: Frame) -> tuple[str, ...]:
    if design:
        return tuple(c.removeprefix("x:") for c in design.columns if c.startswith("x:"))
    name = baselines.promotion(whole, whole.start)
    return (name,) if kind == baselines.WEEKDAY_MEAN and name else ()
