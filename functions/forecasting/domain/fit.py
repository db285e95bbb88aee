"""Choose on folds, report on days that came after them, then choose again on the newest and fit on everything."""

from collections.abc import Collection, Iterator, Sequence
from datetime import datetime
from functools import partial
from typing import Any, Final, NamedTuple

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


class Fold(NamedTuple):
    """What was known on the eve of row `frame.start`, and the sales (n,) of the days after it."""

    frame: Frame
    y: Floats

    @property
    def days(self) -> Days:
        """Days that are forecast, shape (n,)."""
        return self.frame.days[self.frame.start :]

    def problem(self, design: Design) -> Problem:
        """The regression on the days before."""
        return Problem(self.frame, self.frame.start, design)

    def errors(self, fitted: str | Additive) -> Floats:
        """Sales, forecast by a model or by the baseline of that name, and whether it was open, shape (3, n)."""
        return np.stack([self.y, model.middle(fitted, self.frame), self.frame.open[self.frame.start :]])


class Outcome(NamedTuple):
    """The model, and what was forecast for the held-out days before they were seen: None where none were held out."""

    trained: Trained
    held: Prediction | None


def fold(series: Series, start: int, end: int, known: Collection[str] = ()) -> Fold:
    """Rows `start` to `end` as a fold; regressors in `known` are known beforehand, as planned ones are."""
    return Fold(frame.build(series, end - start, start=start, known=known), series.y[start:end])


def folds(series: Series, end: int, length: int, known: Collection[str] = ()) -> Iterator[Fold]:
    """Three consecutive windows of `length` days that end at row `end`, newest first; fewer when history is short."""
    length = max(length, MIN_FOLD)
    for i in range(FOLDS):
        start = end - (i + 1) * length
        if start >= 2 * MIN_FOLD:
            yield fold(series, start, start + length, known)


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

    What is reported (kind, design, width of the interval) is taken from folds before the held-out days; the kind that
    is served, from the held-out days as well. Regressors in `known` are known beforehand, as planned ones are. Unless
    `exact`, the numpy approximation stands for Prophet, which is not imported. Where Prophet cannot be fitted, the best
    baseline is served, and the notes say so. Raises InputError for a series without observation.
    """
    rows = series.observed
    if not rows:
        raise InputError(f"series {series.series_id} has no observation", field="y")
    held = min(holdout, longest_holdout(rows))
    tested = list(folds(series, rows - held, min(held, (rows - held) // SHARE), known))
    last = fold(series, rows - held, rows, known) if held else None
    sold = series.y[: rows - held][np.isfinite(series.y[: rows - held])]
    # Where sales below zero are more than stray days, no logarithm fits.
    floor = float(sold.min()) if len(sold) and (sold < 0).mean() > RETURNS else 0.0
    about = {"series_id": series.series_id, "history": history, "trained_at": now.isoformat(timespec="seconds")}
    finish = partial(_finish, series, tested, last, floor=floor, level=level, exact=exact)
    try:
        design, left_out = choose_design(tested, log=floor == 0)
        return finish(design, about | {"left_out": left_out})
    except (ArithmeticError, RuntimeError, np.linalg.LinAlgError) as exc:
        return finish(None, about | {"notes": (f"Prophet could not be fitted ({type(exc).__name__})",)})


def _finish(
    series: Series,
    tested: Sequence[Fold],
    last: Fold | None,
    design: Design | None,
    about: dict[str, Any],
    *,
    floor: float,
    level: float,
    exact: bool,
) -> Outcome:
    """The best kind on the folds `tested`, reported on `last`; the best on all of them, fitted on everything."""
    fit = Problem.fit if exact else Problem.approximate
    results = errors_by_kind(tested, design)
    kind = served = best(results)
    backtest = prediction = None
    if last:
        width = model.measure(results[kind], floor=floor)
        for name in results:
            fitted = fit(last.problem(design)) if name == PROPHET and design else name
            results[name].append(last.errors(fitted))
        yhat, backtest = results[kind][-1][1], _report(last, results, kind, width)
        prediction = Prediction(last.days, yhat, *model.interval(width, yhat, level))
        served = best(results)
    whole = frame.build(series, 1)
    additive = fit(Problem(whole, whole.start, design)) if design and served == PROPHET else None
    trained = Trained(
        **about,
        kind=served if exact or not additive else APPROXIMATION,
        additive=additive,
        interval=model.measure(results[served], floor=floor),
        backtest=backtest,
        regressors=_used(served, additive, whole),
    )
    return Outcome(trained, prediction)


def choose_design(tested: Sequence[Fold], *, log: bool = True) -> tuple[Design | None, tuple[str, ...]]:
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
    span = int(np.ptp(np.flatnonzero(known)))
    scale = features.scales(first, everything, known)
    whole = Design(weekly=True, yearly=span >= MIN_YEAR, columns=everything, scale=scale, log=log)
    problems = [one.problem(whole) for one in tested]

    def loss(design: Design) -> float:
        return _wape([f.errors(p.approximate(design)) for f, p in zip(tested, problems, strict=True)])

    chosen = whole.model_copy(update={"columns": tuple(groups["file"])})
    score = loss(chosen)
    for change in ("assumed", "weekday", "closed", "month", "year"):
        columns = chosen.columns
        if change == "assumed":  # without what the future does not tell
            columns = tuple(c for c in columns if features.of_file(c) not in first.assumed)
        elif change != "year":
            columns += tuple(c for c in groups[change] if features.of_file(c) in ("", *map(features.of_file, columns)))
        trial = chosen.model_copy(update={"columns": columns, "yearly": chosen.yearly and change != "year"})
        if trial != chosen and (trial_score := loss(trial)) < score * GAIN:
            chosen, score = trial, trial_score
    return chosen, features.outcomes(first, known)


def errors_by_kind(tested: Sequence[Fold], design: Design | None) -> dict[str, list[Floats]]:
    """(sales, forecast, open) of each kind on each fold; Prophet is approximated."""
    kinds = [*baselines.BASELINES]
    if tested and tested[-1].frame.seen >= baselines.YEAR + frame.RECENT:
        kinds.append(baselines.YEAR_AGO)
    results = {kind: [one.errors(kind) for one in tested] for kind in kinds}
    if design:
        results[PROPHET] = [one.errors(one.problem(design).approximate()) for one in tested]
    return results


def best(results: dict[str, list[Floats]]) -> str:
    """The kind with the smallest WAPE over all folds."""
    scores = {kind: _wape(errors) for kind, errors in results.items()}
    finite = {kind: score for kind, score in scores.items() if np.isfinite(score)}
    return min(finite, key=lambda kind: finite[kind], default=baselines.WEEKDAY_MEAN)


def _joined(errors: Sequence[Floats]) -> Floats:
    return np.concatenate([np.zeros((3, 0)), *errors], axis=1)


def _wape(errors: Sequence[Floats]) -> float:
    y, yhat, _ = _joined(errors)
    return report.wape(y, yhat)


def _report(last: Fold, results: dict[str, list[Floats]], kind: str, width: model.Interval) -> Backtest:
    """Figures of `kind` on the held-out days, which are the newest of `results`."""
    y, yhat, opened = results[kind][-1]
    rivals = {name: _wape(results[name][-1:]) for name in baselines.BASELINES}
    rival = min(rivals, key=lambda name: rivals[name] if np.isfinite(rivals[name]) else np.inf)
    wape = report.wape(y, yhat)
    figures = {
        "rmspe": report.rmspe(y, yhat),
        "wape": wape,
        "bias": report.bias(y, yhat),
        "coverage": report.coverage(y, *model.interval(width, yhat, LEVEL), opened),
        "baseline_wape": rivals[rival],
        "skill": 1 - wape / rivals[rival] if rivals[rival] > 0 else np.nan,
    }
    finite = {name: value if np.isfinite(value) else None for name, value in figures.items()}
    return Backtest(start=day(last.days[0]), end=day(last.days[-1]), baseline=rival, **finite)


def _used(kind: str, additive: Additive | None, whole: Frame) -> tuple[str, ...]:
    """Regressors that the model uses."""
    if additive:
        return tuple(c.removeprefix("x:") for c in additive.design.columns if c.startswith("x:"))
    name = baselines.promotion(whole)
    return (name,) if kind == baselines.WEEKDAY_MEAN and name else ()
