"""The documents that the API sends, computed from series and models."""

from collections.abc import Mapping, Sequence
from datetime import date
from typing import Any

import numpy as np

from functions.forecasting.contracts import Question
from functions.forecasting.domain import frame, model
from functions.forecasting.domain.frame import kind_of, known_until
from functions.forecasting.domain.model import Trained
from functions.forecasting.domain.profile import SIZE, nearest, profile
from functions.forecasting.domain.series import Series
from layers.runtime.errors import NotFoundError


def history(series: Series, start: date | None, end: date | None) -> dict[str, Any]:
    """Observed days between `start` and `end`, both included."""
    days, y = series.days[: series.observed], series.y[: series.observed]
    chosen = np.ones(len(days), bool)
    if start:
        chosen &= days >= np.datetime64(start)
    if end:
        chosen &= days <= np.datetime64(end)
    points = zip(days[chosen].tolist(), y[chosen].tolist(), strict=True)
    return {
        "series_id": series.series_id,
        "points": [{"ds": str(ds), "y": value if value == value else None} for ds, value in points],
    }


def similar(series: Series, profiles: Mapping[str, Sequence[float]], k: int) -> dict[str, Any]:
    """The `k` of `profiles` nearest to the series' own; none for a series too short to have a profile."""
    own, others = np.array(profile(series)), np.array(list(profiles.values()), dtype=float).reshape(len(profiles), SIZE)
    found = nearest(own, others, list(profiles), k) if own.any() else []
    items = [{"series_id": n.series_id, "distance": n.distance, "shared": n.shared} for n in found]
    return {"series_id": series.series_id, "items": items}


def laid_out(series: Series, question: Question) -> frame.Frame:
    """The days of the answer. Raises NotFoundError before the first observation, InputError for a wrong plan."""
    if not series.observed:
        raise NotFoundError(f"series {series.series_id} has no observation yet")
    start = max(series.observed, series.row(question.as_of) + 1) if question.as_of else None
    return frame.build(series, question.horizon, question.future, start=start)


def answer(question: Question, series: Series, laid: frame.Frame, trained: Trained, version: str) -> dict[str, Any]:
    """The document that the API sends, in the order of its contract."""
    predicted = model.forecast(trained, laid, question.level)
    scale = 1.0 if question.scale is None else question.scale
    most = float(np.abs(predicted.upper * scale).max()) or 1.0
    digits = 4 + max(0, -int(np.floor(np.log10(most))))
    columns = [np.round(v * scale, digits).tolist() for v in (predicted.yhat, predicted.lower, predicted.upper)]
    said = model.caveats(trained, laid)
    if question.scale is not None:
        said.append(f"sales are those of {question.series_id} times {question.scale:g}")
    days = predicted.days.astype(str).tolist()
    return {
        "series_id": question.series_id,
        "horizon": question.horizon,
        "level": question.level,
        "model": {"kind": trained.kind, "version": version, "trained_at": trained.trained_at},
        "backtest": trained.backtest.model_dump() if trained.backtest else None,
        "regressors": [
            {
                "name": name,
                "kind": kind_of(values),
                "future_known_until": known_until(values, series),
                "used": name in trained.regressors,
            }
            for name, values in series.regressors.items()
        ],
        "plan": {name: values[laid.start :].tolist() for name, values in {"open": laid.open, **laid.x}.items()},
        "points": [
            {"ds": ds, "yhat": yhat, "lower": lower, "upper": upper}
            for ds, yhat, lower, upper in zip(days, *columns, strict=True)
        ],
        "assumptions": said,
    }
