"""Forecasts of a file without any cloud: what `trefoil forecast` does."""

import time
from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

import numpy as np
import pyarrow as pa

from functions.forecasting.contracts import FrequencyName
from functions.forecasting.domain import fit, frame, holidays, model, related, report
from functions.forecasting.domain.fit import Shared, holdout_of, longest_holdout, train
from functions.forecasting.domain.frequency import Frequency
from functions.forecasting.domain.model import Prediction, Trained
from functions.forecasting.domain.profile import nearest, profile
from functions.forecasting.domain.related import Items
from functions.forecasting.domain.series import Series
from functions.forecasting.domain.table import Parsed, Rejection
from layers.runtime.errors import InputError
from layers.tables import commonest

NEAREST = 3
FIGURES = ("rmspe", "wape", "bias", "coverage", "baseline_wape", "skill")


@dataclass(frozen=True)
class Task:
    """One series to forecast; `backtest` periods are held out, or about as many as the horizon when None.

    The horizon is what its frequency usually has when None; it begins after the period that `as_of` lies in, or after
    the last observation when None. Regressors in `known` are known
    beforehand, as planned ones are. `shared` is the model of all series.
    """

    series: Series
    horizon: int | None
    level: float
    backtest: int | None
    now: datetime
    quantiles: tuple[float, ...] = ()
    as_of: str | None = None
    known: tuple[str, ...] = ()
    shared: Shared | None = None


@dataclass(frozen=True)
class Result:
    """The model of a series, its forecast, what was forecast for what was held out, and the seconds it took."""

    trained: Trained
    forecast: Prediction
    held: Prediction | None
    assumptions: tuple[str, ...]
    seconds: float


Pairs = Sequence[tuple[Series, Result]]


def choose(
    parsed: Parsed,
    file: str,
    *,
    wanted: Sequence[str] = (),
    as_of: str | None = None,
    backtest: int | None = None,
    known: Sequence[str] = (),
) -> tuple[list[Series], dict[FrequencyName, str]]:
    """The series to forecast, as they were known on the eve of the horizon, and that eve for each frequency: `as_of`,
    else the newest observation of its series in the file. Series that are empty until then are added to the rejections.

    Raises InputError when nothing is left, or for an option that does not fit the file.
    """
    eves = _eves(parsed.series, as_of)
    if missing := sorted(set(wanted) - {one.series_id for one in parsed.series}):
        mine = [one for one in parsed.rejected if one.series_id in missing]
        why = f": {len(mine)} rows rejected, the first because {mine[0].reason}" if mine else ""
        row = mine[0].row if mine else None
        raise InputError(f"has no valid series {', '.join(missing)}{why}", file=file, row=row, field="series_id")
    chosen = []
    for one in parsed.series:
        eve = eves.get(one.frequency.kind, "")
        row = max(0, one.row(eve) + 1) if eve else 0
        cut = frame.eve(one, row, known) if one.observed > row else one
        if cut.observed and (not wanted or one.series_id in wanted):
            chosen.append(cut)
        elif not cut.observed:
            reason = f"series left out: y is empty on every {one.frequency.rhythm.word}{eve and f' up to {eve}'}"
            parsed.rejected.append(Rejection(-1, one.series_id, reason))
    if not chosen:
        first = parsed.rejected[0]
        raise InputError(f"has no valid series: {first.reason}", file=file, row=first.row if first.row >= 0 else None)
    names = sorted({part for one in chosen for name in one.regressors for part in (name, name.partition("=")[0])})
    if strange := sorted(set(known) - set(names)):
        raise InputError(f"has no regressor {', '.join(strange)}; it has {', '.join(names)}", file=file)
    longest = max(chosen, key=longest_holdout)
    if backtest and backtest > (most := longest_holdout(longest)):
        most_held = longest.frequency.count(most)
        raise InputError(f"is too short for --backtest {backtest}: at most {most_held} can be held out", file=file)
    return chosen, eves


def enrich(
    series: Sequence[Series], eves: dict[FrequencyName, str], horizon: int | None, *, country: str, items: Items
) -> list[Series]:
    """The series with what else is known of them to the end of the horizon: a country's public holidays, and of what
    kind their items are."""
    if not country and not items:
        return [*series]
    coded = related.coded(items)
    enriched = []
    for one in series:
        rows = one.row(eves[one.frequency.kind]) + 1 + (horizon or one.frequency.rhythm.horizon)
        one = holidays.mark(one.reaching(rows), country)
        constant = {name: np.full(len(one.y), value) for name, value in coded.get(one.series_id, {}).items()}
        enriched.append(replace(one, regressors=constant | one.regressors))
    return enriched


def _eves(series: Sequence[Series], as_of: str | None) -> dict[FrequencyName, str]:
    """The eve of the horizon for each frequency. Raises InputError when `as_of` is too late."""
    newest: dict[FrequencyName, str] = {}
    for one in series:
        if one.observed:
            kind = one.frequency.kind
            newest[kind] = max(newest.get(kind, ""), one.last_ds)
    if as_of is None:
        return newest
    for one in series:
        last = newest.get(one.frequency.kind, as_of)
        if one.row(as_of) - one.row(last) > one.frequency.rhythm.year:
            raise InputError(f"--as-of lies more than a year after the newest observation, {last}")
    return dict.fromkeys(newest, as_of)


def frequencies(series: Sequence[Series]) -> str:
    """How many series have which frequency, in words."""
    counts = Counter(one.frequency.rhythm.word for one in series)
    return ", ".join(f"{count} series of {word}s" for word, count in counts.most_common())


def share(
    series: Sequence[Series], horizon: int | None, backtest: int | None, **arguments: Any
) -> dict[FrequencyName, Shared | str]:
    """The model of all series of each frequency, or why there is none."""
    groups: dict[FrequencyName, list[Series]] = {}
    for one in series:
        groups.setdefault(one.frequency.kind, []).append(one)
    return {
        kind: fit.share(group, holdout_of(group[0].frequency, horizon, backtest), **arguments)
        for kind, group in groups.items()
    }


def learned(shared: Shared | str) -> Shared | None:
    """The model, where there is one."""
    return None if isinstance(shared, str) else shared


def forecast_one(task: Task) -> Result:
    """Train a series and forecast it. Raises InputError for a series without observation."""
    started = time.perf_counter()
    frequency = task.series.frequency
    holdout = holdout_of(frequency, task.horizon, task.backtest)
    start = task.series.row(task.as_of) + 1 if task.as_of else task.series.observed
    learnt = frame.eve(task.series, task.series.observed, task.known, newest=start)
    outcome = train(
        learnt,
        history="",
        holdout=holdout,
        now=task.now,
        level=task.level,
        quantiles=task.quantiles,
        known=task.known,
        shared=task.shared,
    )
    periods = frame.build(task.series, task.horizon or frequency.rhythm.horizon, start=start)
    learned = task.shared.served if task.shared else None
    predicted = model.forecast(outcome.trained, periods, task.level, learned, task.quantiles)
    assumptions = model.caveats(outcome.trained, periods)
    if (most := longest_holdout(task.series)) < (task.backtest or 0):
        assumptions.append(
            f"backtest: {frequency.count(most)}, not {task.backtest}: at most a third of the series is held out"
        )
    return Result(outcome.trained, predicted, outcome.held, tuple(assumptions), time.perf_counter() - started)


def forecasts(pairs: Pairs, *, held: bool) -> pa.Table:
    """Rows of forecasts.parquet in order of series and time, held-out ones (if `held`) before those to come. Times are
    dates, or timestamps where a series has hours, in their zone where it is one."""
    parts = [
        (one, part)
        for one, result in pairs
        for part in (result.held if held else None, result.forecast)
        if part is not None
    ]
    kind = _type_of([one.frequency for one, _ in parts])
    times = np.concatenate([part.times for _, part in parts]).astype(
        f"datetime64[{'D' if kind == pa.date32() else 's'}]"
    )
    columns: dict[str, Any] = {
        "series_id": pa.array([one.series_id for one, part in parts for _ in part.times], pa.string()),
        "ds": pa.array(times, pa.date32() if kind == pa.date32() else pa.timestamp("s")).cast(kind),
    }
    for column in ("yhat", "lower", "upper"):
        columns[column] = np.concatenate([getattr(part, column) for _, part in parts])
    for column in parts[0][1].quantiles:
        columns[column] = np.concatenate([part.quantiles[column] for _, part in parts])
    return pa.table(columns)


def _type_of(frequencies: Sequence[Frequency]) -> pa.DataType:
    zones = {one.zone for one in frequencies if one.kind == "H"}
    if not zones:
        return pa.date32()
    return pa.timestamp("s", (zones.pop() if len(zones) == 1 else "UTC") or None)


def rejections(parsed: Parsed, file: str) -> pa.Table:
    """Rows of rejected.parquet; `row` is null where a whole series is left out."""
    rows = [vars(one) | {"file": one.file or file, "row": one.row if one.row >= 0 else None} for one in parsed.rejected]
    types = {"file": pa.string(), "row": pa.int64(), "series_id": pa.string(), "reason": pa.string()}
    return pa.Table.from_pylist(rows, pa.schema(types))


def summary(
    parsed: Parsed,
    pairs: Pairs,
    eves: dict[FrequencyName, str],
    shared: dict[FrequencyName, Shared | str],
    items: Items,
) -> dict[str, Any]:
    """What summary.json says; `shared` is the model of all series of each frequency, or why there is none, and `items`
    what a file said of the item of each series."""
    said = {kind: one if isinstance(one, str) else "learned" for kind, one in shared.items()}
    traits = {name for item in items.values() for name in item}
    similar = _similar([one for one, _ in pairs], items)
    return {
        "as_of": max(eves.values()),
        "frequencies": dict(Counter(one.frequency.kind for one, _ in pairs)),
        "overall": _overall(pairs),
        "model_of_all_series": said if len(said) > 1 else next(iter(said.values())),
        "kinds": dict(Counter(result.trained.kind for _, result in pairs)),
        "understood": parsed.understood,
        "rows": parsed.rows,
        "repeated": parsed.repeated,
        "rejected": len(parsed.rejected),
        "rejected_for": commonest(one.reason for one in parsed.rejected),
        "ignored_columns": parsed.ignored,
        "series": {
            one.series_id: {
                "frequency": one.frequency.kind,
                "kind": result.trained.kind,
                "backtest": result.trained.backtest.model_dump(mode="json") if result.trained.backtest else None,
                "regressors": list(result.trained.regressors),
                "left_out": _left_out(one, result.trained, traits),
                "assumptions": [*result.assumptions],
                "seconds": round(result.seconds, 3),
            }
            | ({"item": items[one.series_id], **similar[one.series_id]} if one.series_id in items else {})
            for one, result in pairs
        },
    }


def _similar(series: Sequence[Series], items: Items) -> dict[str, dict[str, Any]]:
    """The series of the same frequency most like each of those with an item, by that and the shape of their demand."""
    groups: dict[FrequencyName, dict[str, Any]] = {}
    for one in series:
        if items:
            groups.setdefault(one.frequency.kind, {})[one.series_id] = np.array(profile(one))
    return {
        name: {"similar": nearest(own, {n: p for n, p in group.items() if n != name}, NEAREST, items[name], items)}
        for group in groups.values()
        for name, own in group.items()
        if name in items
    }


def _overall(pairs: Pairs) -> dict[str, Any]:
    """Means over series of each figure of the backtest, leaving out what has no value; `pooled` are the figures of all
    held-out periods together, in which a large series weighs more."""
    tested = [result.trained.backtest for _, result in pairs if result.trained.backtest]
    means: dict[str, Any] = {"series": len(pairs), "backtested": len(tested)}
    for name in FIGURES:
        values = [value for value in (getattr(b, name) for b in tested) if value is not None]
        means[name] = float(np.mean(values)) if values else None
    held = [(series, result.held) for series, result in pairs if result.held]
    y = np.concatenate([*(series.y[np.isin(series.times, part.times)] for series, part in held), np.zeros(0)])
    yhat = np.concatenate([*(part.yhat for _, part in held), np.zeros(0)])
    figures = {"wape": report.wape(y, yhat), "rmspe": report.rmspe(y, yhat)}
    return means | {"pooled": {name: value if np.isfinite(value) else None for name, value in figures.items()}}


def _left_out(series: Series, trained: Trained, traits: Collection[str]) -> dict[str, str]:
    """Why each regressor of the series is not used; `traits` of items only tell series apart."""
    usual = "varies too little, did not help, or others of too many go more with the sales"
    outcomes = dict.fromkeys(trained.left_out, "moves with the sales themselves")
    shown = (name for name in series.regressors if name.partition("=")[0] not in traits)
    return {name: outcomes.get(name, usual) for name in shown if name not in trained.regressors}
