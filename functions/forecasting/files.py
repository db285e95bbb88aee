"""Forecasts of a file without any cloud: what `trefoil forecast` does."""

import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

import numpy as np
import pyarrow as pa

from functions.forecasting.domain import frame, model, report
from functions.forecasting.domain.fit import Shared, longest_holdout, train
from functions.forecasting.domain.model import Prediction, Trained
from functions.forecasting.domain.series import Series
from functions.forecasting.domain.table import Parsed, Rejection
from layers.runtime.errors import InputError

DEFAULT_HOLDOUT = (14, 56)
LATE = 366
FIGURES = ("rmspe", "wape", "bias", "coverage", "baseline_wape", "skill")


@dataclass(frozen=True)
class Task:
    """One series to forecast; `backtest` days are held out, or as many as the horizon (14 to 56) when None.

    The horizon begins after `as_of`, or after the last observation when None. Regressors in `known` are known
    beforehand, as planned ones are. `shared` is the model of all series.
    """

    series: Series
    horizon: int
    level: float
    backtest: int | None
    now: datetime
    as_of: date | None = None
    known: tuple[str, ...] = ()
    shared: Shared | None = None


@dataclass(frozen=True)
class Result:
    """The model of a series, its forecast, what was forecast for the held-out days, and the seconds it took."""

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
    as_of: date | None = None,
    backtest: int | None = None,
    known: Sequence[str] = (),
) -> tuple[list[Series], date]:
    """The series to forecast, as they were known on the eve of the horizon, and that eve: `as_of`, else the day of the
    newest observation of the file. Series that are empty until then are added to the rejections.

    Raises InputError when nothing is left, or for an option that does not fit the file.
    """
    newest = max((one.last_ds for one in parsed.series if one.observed), default=date.max)
    if as_of is not None and (as_of - newest).days > LATE:
        raise InputError(f"--as-of lies more than a year after the newest observation, {newest}")
    eve = as_of or newest
    if missing := sorted(set(wanted) - {one.series_id for one in parsed.series}):
        mine = [one for one in parsed.rejected if one.series_id in missing]
        why = f": {len(mine)} rows rejected, the first because {mine[0].reason}" if mine else ""
        row = mine[0].row if mine else None
        raise InputError(f"has no valid series {', '.join(missing)}{why}", file=file, row=row, field="series_id")
    chosen = []
    for one in parsed.series:
        row = max(0, one.row(eve) + 1)
        cut = frame.eve(one, row, known) if one.observed > row else one
        if cut.observed and (not wanted or one.series_id in wanted):
            chosen.append(cut)
        elif not cut.observed:
            reason = f"series left out: y is empty on every day up to {eve}"
            parsed.rejected.append(Rejection(-1, one.series_id, reason))
    if not chosen:
        first = parsed.rejected[0]
        raise InputError(f"has no valid series: {first.reason}", file=file, row=first.row if first.row >= 0 else None)
    names = sorted({part for one in chosen for name in one.regressors for part in (name, name.partition("=")[0])})
    if strange := sorted(set(known) - set(names)):
        raise InputError(f"has no regressor {', '.join(strange)}; it has {', '.join(names)}", file=file)
    if backtest and backtest > (most := max(longest_holdout(one.observed) for one in chosen)):
        raise InputError(f"is too short for --backtest {backtest}: at most {most} days can be held out", file=file)
    return chosen, eve


def holdout_of(horizon: int, backtest: int | None) -> int:
    """Days to hold out: those of the backtest, else as many as the horizon, 14 to 56."""
    low, high = DEFAULT_HOLDOUT
    return backtest if backtest is not None else min(max(horizon, low), high)


def forecast_one(task: Task) -> Result:
    """Train a series and forecast it. Raises InputError for a series without observation."""
    started = time.perf_counter()
    holdout = holdout_of(task.horizon, task.backtest)
    start = task.series.row(task.as_of) + 1 if task.as_of else task.series.observed
    learnt = frame.eve(task.series, task.series.observed, task.known, newest=start)
    outcome = train(
        learnt,
        history="",
        holdout=holdout,
        now=task.now,
        level=task.level,
        known=task.known,
        shared=task.shared,
    )
    days = frame.build(task.series, task.horizon, start=start)
    learned = task.shared.served if task.shared else None
    predicted = model.forecast(outcome.trained, days, task.level, learned)
    assumptions = model.caveats(outcome.trained, days)
    if (most := longest_holdout(task.series.observed)) < (task.backtest or 0):
        assumptions.append(f"backtest: {most} days, not {task.backtest}: at most a third of the series is held out")
    return Result(outcome.trained, predicted, outcome.held, tuple(assumptions), time.perf_counter() - started)


def forecasts(pairs: Pairs, *, held: bool) -> pa.Table:
    """Rows of forecasts.parquet in order of series and day, held-out days (if `held`) before those to come."""
    parts = [
        (one.series_id, part)
        for one, result in pairs
        for part in (result.held if held else None, result.forecast)
        if part is not None
    ]
    columns: dict[str, Any] = {
        "series_id": pa.array([name for name, part in parts for _ in range(len(part.days))], pa.string()),
        "ds": pa.array(np.concatenate([part.days for _, part in parts]), pa.date32()),
    }
    for column in ("yhat", "lower", "upper"):
        columns[column] = np.concatenate([getattr(part, column) for _, part in parts])
    return pa.table(columns)


def rejections(parsed: Parsed, file: str) -> pa.Table:
    """Rows of rejected.parquet; `row` is null where a whole series is left out."""
    rows = [vars(one) | {"file": file, "row": one.row if one.row >= 0 else None} for one in parsed.rejected]
    types = {"file": pa.string(), "row": pa.int64(), "series_id": pa.string(), "reason": pa.string()}
    return pa.Table.from_pylist(rows, pa.schema(types))


def summary(parsed: Parsed, pairs: Pairs, eve: date, shared: Shared | str) -> dict[str, Any]:
    """What summary.json says; `shared` is the model of all series, or why there is none."""
    return {
        "as_of": str(eve),
        "overall": _overall(pairs),
        "model_of_all_series": shared if isinstance(shared, str) else "learned",
        "kinds": dict(Counter(result.trained.kind for _, result in pairs)),
        "understood": parsed.understood,
        "rows": parsed.rows,
        "repeated": parsed.repeated,
        "rejected": len(parsed.rejected),
        "ignored_columns": parsed.ignored,
        "series": {
            one.series_id: {
                "kind": result.trained.kind,
                "backtest": result.trained.backtest.model_dump(mode="json") if result.trained.backtest else None,
                "regressors": list(result.trained.regressors),
                "left_out": _left_out(one, result.trained),
                "assumptions": [*result.assumptions],
                "seconds": round(result.seconds, 3),
            }
            for one, result in pairs
        },
    }


def _overall(pairs: Pairs) -> dict[str, Any]:
    """Means over series of each figure of the backtest, leaving out what has no value; `pooled` are the figures of all
    held-out days together, in which a large series weighs more."""
    tested = [result.trained.backtest for _, result in pairs if result.trained.backtest]
    means: dict[str, Any] = {"series": len(pairs), "backtested": len(tested)}
    for name in FIGURES:
        values = [value for value in (getattr(b, name) for b in tested) if value is not None]
        means[name] = float(np.mean(values)) if values else None
    held = [(series, result.held) for series, result in pairs if result.held]
    y = np.concatenate([*(series.y[np.isin(series.days, part.days)] for series, part in held), np.zeros(0)])
    yhat = np.concatenate([*(part.yhat for _, part in held), np.zeros(0)])
    figures = {"wape": report.wape(y, yhat), "rmspe": report.rmspe(y, yhat)}
    return means | {"pooled": {name: value if np.isfinite(value) else None for name, value in figures.items()}}


def _left_out(series: Series, trained: Trained) -> dict[str, str]:
    """Why each regressor of the series is not used."""
    usual = "varies too little, or did not help"
    outcomes = dict.fromkeys(trained.left_out, "moves with the sales themselves")
    return {name: outcomes.get(name, usual) for name in series.regressors if name not in trained.regressors}
