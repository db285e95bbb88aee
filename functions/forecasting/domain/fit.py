"""Choose on folds, report on what came after them, then choose again on the newest and fit on everything."""

from collections.abc import Collection, Iterator, Sequence
from datetime import datetime
from functools import partial
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np

from functions.forecasting.contracts import Backtest
from functions.forecasting.domain import baselines, features, frame, holidays, model, report
from functions.forecasting.domain.additive import Additive, Design, Problem
from functions.forecasting.domain.frame import Frame
from functions.forecasting.domain.frequency import Frequency, Times
from functions.forecasting.domain.model import APPROXIMATION, BLEND, GLOBAL, PROPHET, Holdout, Prediction, Trained
from functions.forecasting.domain.series import Floats, Series
from layers.runtime.errors import InputError

if TYPE_CHECKING:
    from functions.forecasting.domain.global_model import GlobalModel

FOLDS: Final = 3
SHARE: Final = 5
MIN_YEARS: Final = 500 / 365
MIN_YEARS_ALONE: Final = 1.1
KNOWN: Final = 3
LEVEL: Final = 0.95
GAIN: Final = 0.995
# What errs least over many series, the first one the least: it adapts, or is the mean of two that err differently.
STEADY: Final = (baselines.SMOOTHING, BLEND, PROPHET)
SURE: Final = 0.98  # of regressors that nobody gave: few holidays gain as much by chance
RETURNS: Final = 0.01
LOST: Final = 1.1
HARMONICS: Final = {"M": 5, "Q": 2}


class Fold(NamedTuple):
    """What was known on the eve of row `frame.start`, and the sales (n,) of the periods after it."""

    frame: Frame
    y: Floats

    @property
    def times(self) -> Times:
        """Periods that are forecast, shape (n,)."""
        return self.frame.times[self.frame.start :]

    def problem(self, design: Design) -> Problem:
        """The regression on what was before."""
        return Problem(self.frame, self.frame.start, self.able(design))

    def able(self, design: Design) -> Design:
        """The design without a season of the year that what was before is too short for, unless it is the only one."""
        alone = self.frame.rhythm.cycle == 1
        return design if not design.yearly or alone or self.knows_year else design.model_copy(update={"yearly": False})

    @property
    def knows_year(self) -> bool:
        """Whether what was before is long enough for a season of the year; where it is the only one, it takes less."""
        rhythm, known = self.frame.rhythm, np.flatnonzero(np.isfinite(self.frame.selling))
        return len(known) > 0 and bool(
            np.ptp(known) >= (MIN_YEARS if rhythm.cycle > 1 else MIN_YEARS_ALONE) * rhythm.year
        )

    def errors(self, yhat: Floats) -> Floats:
        """Sales, their forecast `yhat` (n,), and whether it was open, shape (3, n)."""
        return np.stack([self.y, yhat, self.frame.open[self.frame.start :]])


class Shared(NamedTuple):
    """The model of all series: learned from days before the folds of any, to be judged by, and from all days."""

    judged: "GlobalModel"
    served: "GlobalModel"


class Outcome(NamedTuple):
    """The model, and what was forecast for the held-out days before they were seen: None where none were held out."""

    trained: Trained
    held: Prediction | None


def fold(series: Series, start: int, end: int, known: Collection[str] = ()) -> Fold:
    """Rows `start` to `end` as a fold; regressors in `known` are known beforehand, as planned ones are."""
    return Fold(frame.build(series, end - start, start=start, known=known), series.y[start:end])


def folds(
    series: Series, end: int, length: int, known: Collection[str] = (), among: Floats | None = None
) -> Iterator[Fold]:
    """Three consecutive windows of `length` rows that end at row `end`, newest first; fewer when history is short.
    Those that have a value above zero `among` theirs (n,), where it is given."""
    starts = range(end - length, 2 * series.frequency.rhythm.fold - 1, -length)
    for start in [s for s in starts if among is None or (among[s : s + length] > 0).any()][:FOLDS]:
        yield fold(series, start, start + length, known)


def longest_holdout(series: Series) -> int:
    """Most rows of a series that can be held out: a third, so that enough is left to choose on."""
    return max(0, (series.observed - series.frequency.rhythm.fold) // 3)


def holdout_of(
    frequency: Frequency, horizon: int | None = None, backtest: int | None = None, *, days: int | None = None
) -> int:
    """Periods to hold out: those of the backtest, or `days` of days, else as many as the horizon within the frequency's
    bounds."""
    low, high = frequency.rhythm.holdout
    backtest = days if frequency.kind == "D" and backtest is None else backtest
    return backtest if backtest is not None else min(max(horizon or frequency.rhythm.horizon, low), high)


def windows(series: Series, holdout: int) -> tuple[int, int]:
    """Rows of a series that are held out, at most `holdout`, and the length of the folds before them: as long, and a
    season where there is room."""
    rhythm, held = series.frequency.rhythm, min(holdout, longest_holdout(series))
    rows, wanted = series.observed - held, max(held, rhythm.season)
    beyond = rows - rhythm.whole_year - KNOWN
    if rhythm.cycle == 1 and beyond >= rhythm.fold:  # what looks a year back is judged where there is one
        return held, max(rhythm.fold, min(wanted, beyond // FOLDS))
    return held, max(rhythm.fold, min(wanted, rows // SHARE))


def share(
    series: Sequence[Series], holdout: int, *, rows: int, known: Collection[str] = (), threads: int = 1
) -> Shared | str:
    """The model of all series, which have one kind of period, for `holdout` periods, from at most `rows` rows; or why
    there is none."""
    from functions.forecasting.domain import global_model

    past, horizon = [], holdout
    for one in series:
        held, length = windows(one, holdout)
        past.append(frame.eve(one, one.observed - held - FOLDS * length, known))
        horizon = max(horizon, length)
    parameters = global_model.Parameters(rows=rows, horizon=horizon, threads=threads)
    judged = global_model.fit(past, parameters, known=known)
    if isinstance(judged, str):
        return judged
    served = global_model.fit(series, parameters, known=known)
    return served if isinstance(served, str) else Shared(judged, served)


def train(
    series: Series,
    *,
    history: str,
    holdout: int,
    now: datetime,
    level: float = LEVEL,
    quantiles: Sequence[float] = (),
    known: Collection[str] = (),
    exact: bool = True,
    shared: Shared | str | None = None,
) -> Outcome:
    """Train one series; `holdout` is how many periods are reported on, `level` and `quantiles` of what is returned for
    them, and `shared` the model of all series, or why there is none.

    What is reported (kind, design, width of the interval) is taken from folds before the held-out periods; the kind
    that is served, from those as well. Regressors in `known` are known beforehand, as planned ones are. Unless
    `exact`, the numpy approximation stands for Prophet, which is not imported. Where Prophet cannot be fitted, the best
    baseline is served, and the notes say so. Raises InputError for a series without observation.
    """
    rows = series.observed
    if not rows:
        raise InputError(f"series {series.series_id} has no observation", field="y")
    held, length = windows(series, holdout)
    tested = list(folds(series, rows - held, length, known))
    marks = holidays.column(series)
    feasts = [] if marks is None else list(folds(series, rows - held, length, known, marks))
    last = fold(series, rows - held, rows, known) if held else None
    sold = series.y[: rows - held][np.isfinite(series.y[: rows - held])]
    # Where sales below zero are more than stray days, no logarithm fits.
    floor = float(sold.min()) if len(sold) and (sold < 0).mean() > RETURNS else 0.0
    about = {"series_id": series.series_id, "frequency": series.frequency.code, "history": history}
    about["trained_at"] = now.isoformat(timespec="seconds")
    notes = [f"no model of all series: {shared}"] if isinstance(shared, str) else []
    if isinstance(shared, Shared) and not shared.judged.of(series.frequency):
        notes, shared = [f"no model of all series of {series.frequency.rhythm.word}s"], None
    if not np.nan_to_num(series.y).any():
        notes.append("y: nothing was sold on any day; the forecast is nothing")
    elif not tested:
        notes.append("interval: as wide as sales vary around their mean; the history is too short for past forecasts")
    learned = shared if isinstance(shared, Shared) else None
    finish = partial(_finish, series, tested, last, learned, floor=floor, level=level, quantiles=quantiles, exact=exact)
    try:
        design, left_out = choose_design(tested, feasts, log=floor == 0)
        return finish(design, notes, about | {"left_out": left_out})
    except (ArithmeticError, RuntimeError, np.linalg.LinAlgError) as exc:
        return finish(None, [*notes, f"Prophet could not be fitted ({type(exc).__name__})"], about)


def _finish(
    series: Series,
    tested: Sequence[Fold],
    last: Fold | None,
    shared: Shared | None,
    design: Design | None,
    notes: list[str],
    about: dict[str, Any],
    *,
    floor: float,
    level: float,
    quantiles: Sequence[float],
    exact: bool,
) -> Outcome:
    """The best kind on the folds `tested`, reported on `last`; the best on all of them, fitted on everything."""
    fit, judged = Problem.fit if exact else Problem.approximate, shared.judged if shared else None
    rhythm = series.frequency.rhythm
    before = rhythm.recent if rhythm.cycle > 1 else KNOWN
    year_ago = bool(tested) and tested[-1].frame.seen >= rhythm.whole_year + before
    rules = [*baselines.BASELINES, *([baselines.YEAR_AGO] if year_ago else [])]
    rules += [baselines.SMOOTHING] if rhythm.cycle == 1 else []
    # Where the year is the only season, folds of another part of it cannot tell what knowing it is worth.
    blind = (baselines.WEEKDAY_MEAN,) if year_ago and rhythm.cycle == 1 else ()
    # Smoothing sees no promotion: where a column of the file helps, it must win.
    steady = STEADY[1:] if design and any(map(features.of_file, design.columns)) else STEADY
    pick = partial(best, learned=judged, blind=blind, steady=steady)
    results = [
        errors_by_kind(one, rules, one.problem(design).approximate() if design else None, judged) for one in tested
    ]
    unjudged = [] if tested else [_around_mean(series, series.observed - (len(last.y) if last else 0))]
    kind = served = pick(results)
    backtest = prediction = holdout = None
    if last:
        width = model.measure([*unjudged, *(errors[kind] for errors in results)], floor=floor, rhythm=rhythm)
        results.append(errors_by_kind(last, rules, fit(last.problem(design)) if design else None, judged))
        backtest = _report(last, results[-1], kind, width)
        _, yhat, opened = results[-1][kind]
        prediction = model.bounded(width, last.times, yhat, opened, level, quantiles)
        holdout = Holdout(yhat=yhat.tolist(), interval=width)
        served = pick(results)
        notes = [*notes, *_remarks(backtest, kind, served, f"{rhythm.word}s held out")]
    whole = frame.build(series, 1)
    additive = fit(Problem(whole, whole.start, design)) if design and served in (PROPHET, BLEND) else None
    trained = Trained(
        **about,
        kind=APPROXIMATION if served == PROPHET and not exact else served,
        additive=additive,
        interval=model.measure([*unjudged, *(errors[served] for errors in results)], floor=floor, rhythm=rhythm),
        backtest=backtest,
        holdout=holdout,
        regressors=_used(served, additive, whole),
        notes=tuple(notes),
    )
    return Outcome(trained, prediction)


def _around_mean(series: Series, end: int) -> Floats:
    """Sales before row `end`, their mean in place of a forecast, and whether it was open, (3, n): no more is known of
    the errors of a series without folds."""
    days = frame.build(series, 1, start=end)
    known = days.selling[:end][np.isfinite(days.selling[:end])]
    mean = known.mean() if len(known) else 0.0
    return np.stack([days.y[:end], np.full(end, mean), days.open[:end]])


def choose_design(
    tested: Sequence[Fold], feasts: Sequence[Fold] = (), *, log: bool = True
) -> tuple[Design | None, tuple[str, ...]]:
    """The seasons and regressors that help on the folds, tried group by group; None when history is too short.

    Public holidays are judged on the folds `feasts`, which have some. Also names the file's columns that are left out
    because they measure the sales themselves.
    """
    if not tested:
        return None, ()
    alone = tested[0].frame.rhythm.cycle == 1  # then the year is the only season, and takes all there is
    first = tested[0 if alone else -1].frame
    kind, rhythm = first.frequency.kind, first.rhythm
    known = (first.selling > 0) if log else np.isfinite(first.selling)
    if known.sum() < rhythm.sold:
        return None, ()
    groups = features.groups(first, known)
    everything = tuple(c for columns in groups.values() for c in columns)
    scale = features.scales(first, everything, known)
    whole = Design(
        weekly=kind in "HD",
        yearly=tested[0].knows_year,
        daily=kind == "H",
        harmonics=HARMONICS.get(kind, 6),
        columns=everything,
        scale=scale,
        log=log,
    )
    problems = [(one, one.problem(whole)) for one in tested]
    festive = [(one, one.problem(whole)) for one in feasts if groups["holiday"]]

    def loss(design: Design, on: Sequence[tuple[Fold, Problem]] = problems) -> float:
        fits = [(one, problem.approximate(one.able(design))) for one, problem in on]
        return _wape([one.errors(model.middle(PROPHET, one.frame, fitted, None)) for one, fitted in fits])

    chosen = whole.model_copy(update={"columns": (*groups["file"], *groups.get("peak", ()))})
    if festive:  # the weeks that stand out may be those of holidays, so they are tried without these as well
        plain = dict.fromkeys((chosen.columns, tuple(groups["file"])))
        without, with_them = (
            {columns: loss(chosen.model_copy(update={"columns": columns}), festive) for columns in tried}
            for tried in (plain, [(*columns, *groups["holiday"]) for columns in plain])
        )
        best_columns = min(with_them, key=lambda columns: with_them[columns])
        if with_them[best_columns] < min(without.values()) * SURE:
            chosen = chosen.model_copy(update={"columns": best_columns})
    score = loss(chosen)
    for change in (
        "assumed",
        *(name for name in groups if name not in ("file", "peak", "holiday")),
        *(() if alone else ("year",)),
    ):
        columns = chosen.columns
        if change == "assumed":  # without what the future does not tell
            columns = tuple(c for c in columns if features.of_file(c) not in first.assumed)
        elif change != "year":
            columns += tuple(c for c in groups[change] if features.of_file(c) in ("", *map(features.of_file, columns)))
        trial = chosen.model_copy(update={"columns": columns, "yearly": chosen.yearly and change != "year"})
        if trial != chosen and (trial_score := loss(trial)) < score * GAIN:
            chosen, score = trial, trial_score
    return chosen, features.outcomes(first, known)


def errors_by_kind(
    one: Fold, rules: Sequence[str], fitted: Additive | None, learned: "GlobalModel | None"
) -> dict[str, Floats]:
    """(sales, forecast, open) of each kind on a fold, (3, n): of the `rules`, and of what there is of the others."""
    kinds = [*rules, *([PROPHET] if fitted else []), *([GLOBAL] if learned else [])]
    forecasts = {kind: model.middle(kind, one.frame, fitted, learned) for kind in kinds}
    if fitted and learned:
        forecasts[BLEND] = model.blend(forecasts[PROPHET], forecasts[GLOBAL])
    return {kind: one.errors(yhat) for kind, yhat in forecasts.items()}


def best(
    results: Sequence[dict[str, Floats]],
    learned: "GlobalModel | None" = None,
    blind: Sequence[str] = (),
    steady: Sequence[str] = STEADY,
) -> str:
    """The kind with the smallest WAPE over all folds but those that are `blind` to the season; the first that is
    `steady` where none is better by more than so few periods can tell. Without folds `learned`, else the weekday's
    mean."""
    kinds = [kind for kind in (results[0] if results else ()) if kind not in blind]
    scores = {kind: _wape([errors[kind] for errors in results]) for kind in kinds}
    finite = {kind: score for kind, score in scores.items() if np.isfinite(score)}
    if not finite:
        return GLOBAL if learned else baselines.WEEKDAY_MEAN
    chosen = min(finite, key=lambda kind: finite[kind])
    near = (1 + np.isfinite(np.concatenate([errors[chosen][0] for errors in results])).sum() ** -0.5) * finite[chosen]
    return next((kind for kind in steady if finite.get(kind, np.inf) <= near), chosen)


def _wape(errors: Sequence[Floats]) -> float:
    y, yhat, _ = np.concatenate(errors, axis=1)
    return report.wape(y, yhat)


def _report(last: Fold, errors: dict[str, Floats], kind: str, width: model.Interval) -> Backtest:
    """Figures of `kind` on the held-out periods, of which `errors` are."""
    y, yhat, opened = errors[kind]
    rivals = {name: _wape([errors[name]]) for name in baselines.BASELINES}
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
    start, end = last.frame.frequency.labels(last.times[[0, -1]])
    return Backtest(start=start, end=end, baseline=rival, **finite)


def _remarks(backtest: Backtest, kind: str, served: str, held: str) -> list[str]:
    """What a reader must know of how what was `held` out was forecast, by `kind`, and of what is `served`."""
    tested, chosen, rival = (name.replace("_", " ") for name in (kind, served, backtest.baseline))
    remarks = []
    if served != kind:
        remarks.append(f"{tested} forecast the {held}; with them, {chosen} did better, and is served")
    if backtest.wape and backtest.baseline_wape and backtest.wape > LOST * backtest.baseline_wape:
        theirs = f"{rival} by {backtest.baseline_wape:.3f}"
        remarks.append(f"on the {held}, {tested} was off by {backtest.wape:.3f} of sales, {theirs}")
    return remarks


def _used(kind: str, additive: Additive | None, whole: Frame) -> tuple[str, ...]:
    """Regressors that the model uses."""
    if additive:
        return tuple(c.removeprefix("x:") for c in additive.design.columns if c.startswith("x:"))
    name = baselines.promotion(whole)
    return (name,) if kind == baselines.WEEKDAY_MEAN and name else ()
