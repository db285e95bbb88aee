"""The documents that the API sends, computed from stored histories and models."""

from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from functions.forecasting.contracts import Outlook, Question
from functions.forecasting.domain import frame, holidays, model, outlook, parts
from functions.forecasting.domain.frame import Frame, kind_of
from functions.forecasting.domain.model import Prediction, Trained
from functions.forecasting.domain.profile import Item, item_of, nearest, profile
from functions.forecasting.domain.series import Series, ends, load
from layers.runtime.errors import InputError, NotFoundError

if TYPE_CHECKING:
    from functions.forecasting.domain.global_model import GlobalModel

DIGITS: Final = 6


def history(body: bytes, start: date | None, end: date | None) -> dict[str, Any]:
    """Observed days of a stored history between `start` and `end`, both included."""
    series = load(body)
    times, y = series.times[: series.observed], series.y[: series.observed]
    days = series.frequency.clock(times).astype("datetime64[D]")
    chosen = np.ones(len(days), bool)
    if start:
        chosen &= days >= np.datetime64(start)
    if end:
        chosen &= days <= np.datetime64(end)
    points = zip(series.frequency.labels(times[chosen]), y[chosen].tolist(), strict=True)
    return {
        "series_id": series.series_id,
        "frequency": series.frequency.kind,
        "points": [{"ds": ds, "y": value if value == value else None} for ds, value in points],
    }


def similar(body: bytes, profiles: Mapping[str, Sequence[float]], items: Mapping[str, Item], k: int) -> dict[str, Any]:
    """The `k` of `profiles` nearest to a stored history's own, by its item too; `items` are those of the others."""
    series = load(body)
    near = nearest(np.array(profile(series)), profiles, k, item_of(series), items)
    return {"series_id": series.series_id, "items": near}


def lay_out(body: bytes, question: Question, country: str = "") -> tuple[Series, Frame]:
    """A stored history and the periods of the answer, with the public holidays of a country where one is given.

    Raises NotFoundError before the first observation, InputError for a wrong plan.
    """
    series = load(body)
    start = _start(series, question)
    horizon = question.horizon or series.frequency.rhythm.horizon
    series = holidays.mark(series, country, start + horizon)
    return series, frame.build(series, horizon, question.future, start=start)


def planned_outlook(body: bytes, question: Question, country: str, line: Sequence[float]) -> Outlook:
    """What is planned for the periods of an answer against what is usual. Raises as `lay_out`."""
    return outlook.outlook(lay_out(body, question, country)[1], np.array(line))


def places(body: bytes, question: Question, start: str, end: str) -> tuple[int, int]:
    """Places of two times of a stored history in the horizon of a question, from 0.

    Raises NotFoundError before the first observation, InputError for what is no time.
    """
    series = load(body)
    first, rows = _start(series, question), []
    for field, label in (("start", start), ("end", end)):
        try:
            rows.append(series.row(label) - first)
        except ValueError as exc:
            raise InputError("is no time", field=f"body.{field}") from exc
    return rows[0], rows[1]


def _start(series: Series, question: Question) -> int:
    """Row of the first period of a question's horizon."""
    if not series.observed:
        raise NotFoundError(f"series {series.series_id} has no observation yet")
    return max(series.observed, series.row(question.as_of) + 1) if question.as_of else series.observed


def forecast(
    question: Question,
    series: Series,
    days: Frame,
    trained: Trained,
    version: str,
    learned: "GlobalModel | None" = None,
    *,
    now: datetime,
) -> dict[str, Any]:
    """The document that the API sends, in the order of its contract; `learned` is the model of all series. A last
    observation that is more than two seasons older than `now` is said."""
    predicted = model.forecast(trained, days, question.level, learned, question.quantiles)
    scale = 1.0 if question.scale is None else question.scale
    most = float(np.abs(predicted.upper * scale).max()) or 1.0
    digits = 4 + max(0, -int(np.floor(np.log10(most))))

    def points(predicted: Prediction) -> list[dict[str, Any]]:
        values = {"yhat": predicted.yhat, "lower": predicted.lower, "upper": predicted.upper, **predicted.quantiles}
        columns = [np.round(v * scale, digits).tolist() for v in values.values()]
        labels = series.frequency.labels(predicted.times)
        return [dict(zip(("ds", *values), point, strict=True)) for point in zip(labels, *columns, strict=True)]

    assumptions = model.caveats(trained, days)
    last, today = days.times[days.seen - 1], np.datetime64(now.astimezone(UTC).replace(tzinfo=None), "m")
    if series.frequency.number(today) - series.frequency.number(last) > 2 * days.rhythm.season:
        label = series.frequency.labels(last[None])[0]
        assumptions.append(f"y: the last observation, of {label}, is more than two seasons old")
    if question.scale is not None:
        assumptions.append(f"sales are those of {question.series_id} times {question.scale:g}")
    document = {
        "series_id": question.series_id,
        "frequency": series.frequency.kind,
        "horizon": len(predicted.times),
        "level": question.level,
        "model": {"kind": trained.kind, "version": version, "trained_at": trained.trained_at},
        "backtest": trained.backtest.model_dump(mode="json") if trained.backtest else None,
        "holdout": points(held) if (held := _held_out(question, series, days, trained)) else [],
        "regressors": [
            {
                "name": name,
                "kind": kind_of(values),
                "future_known_until": series.label(ends(values) - 1) if ends(values) else None,
                "used": name in trained.regressors,
            }
            for name, values in series.regressors.items()
        ],
        "plan": {name: values[days.start :].tolist() for name, values in {"open": days.open, **days.x}.items()},
        "points": points(predicted),
        "assumptions": assumptions,
    }
    return document | ({"parts": _parts(trained, days, learned)} if question.parts else {})


def _held_out(question: Question, series: Series, days: Frame, trained: Trained) -> Prediction | None:
    """What was forecast for the periods of the backtest, at the level that is asked for; None where it is not known."""
    if not trained.backtest or not trained.holdout:
        return None
    yhat, start = np.array(trained.holdout.yhat), series.row(trained.backtest.start)
    rows = slice(max(start, 0), start + len(yhat))
    if len(days.times[rows]) < len(yhat):  # the history begins later than it did
        return None
    opened, times = days.open[rows], days.times[rows]
    return model.bounded(trained.holdout.interval, times, yhat, opened, question.level, question.quantiles)


def _parts(trained: Trained, days: Frame, learned: "GlobalModel | None") -> dict[str, Any]:
    made = parts.parts(trained, days, learned)
    columns = {name: np.round(values, DIGITS).tolist() for name, values in made.values.items()}
    values = {name: [v if v == v else None for v in column] for name, column in columns.items()}
    return {"scale": made.scale, "values": values}
