"""What a forecast is made of: parts of each period that sum to it."""

import re
from collections import defaultdict
from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np

from functions.forecasting.domain import additive, features, model
from functions.forecasting.domain.additive import Additive
from functions.forecasting.domain.frame import Frame
from functions.forecasting.domain.model import Scale, Trained
from functions.forecasting.domain.series import Floats

if TYPE_CHECKING:
    from functions.forecasting.domain.global_model import GlobalModel

ALL_SERIES: Final = "model of all series"


class Parts(NamedTuple):
    """`values` name -> (n,) over the horizon; their sum is the forecast, or its logarithm when `scale` is log. NaN on
    closed days, which are zero, and where a forecast has no logarithm."""

    scale: Scale
    values: dict[str, Floats]


def parts(trained: Trained, frame: Frame, learned: "GlobalModel | None" = None) -> Parts:
    """Level, trend, seasons and regressors of Prophet's model; a rule and the model of all series each as a whole.

    A blend is the mean of two logarithms: half of Prophet's parts, and half of the other's forecast. Where Prophet's
    model has no logarithm, it is a whole.
    """
    yhat = model.middle(trained.kind, frame, trained.additive, learned)
    log, mixed = trained.additive is not None and trained.additive.design.log, trained.kind == model.BLEND
    if trained.additive is None or trained.kind == model.ECHO or (mixed and not log):
        name = ALL_SERIES if trained.kind == model.GLOBAL else trained.kind.replace("_", " ")
        return Parts("linear", {name: np.where(frame.open[frame.start :] > 0, yhat, np.nan)})
    values = _of_additive(trained.additive, frame)
    scale: Scale = "log" if log else "linear"
    if mixed:
        with np.errstate(divide="ignore", invalid="ignore"):
            other = np.log(model.middle(model.GLOBAL, frame, None, learned))
        values = {part: value / 2 for part, value in values.items()} | {ALL_SERIES: other / 2}
    useful = (frame.open[frame.start :] > 0) & np.isfinite(sum(values.values(), np.zeros(len(yhat))))
    return Parts(scale, {name: np.where(useful, value, np.nan) for name, value in values.items()})


def _of_additive(fitted: Additive, frame: Frame) -> dict[str, Floats]:
    """Parts of Prophet's model. The level is the trend on the eve, the trend what it has moved since."""
    log, ahead = fitted.design.log, slice(frame.start, None)
    scale = 1.0 if log else fitted.unit
    shift = additive.lately(fitted, frame, additive.line(fitted, frame))
    trend = (additive.line(fitted.model_copy(update={"beta": ()}), frame) + shift) * scale
    level = trend[max(frame.seen - 1, 0)]
    values: dict[str, Floats] = defaultdict(lambda: np.zeros(len(frame.open) - frame.start))
    values |= {"level": np.full(len(trend) - frame.start, level), "trend": trend[ahead] - level}
    effects = additive.columns(fitted.design, frame)[ahead] * np.array(fitted.beta)
    effects *= fitted.y_scale * scale
    for name, effect in zip(additive.names(fitted.design), effects.T, strict=True):
        values[_group(name)] += effect
    return dict(values)


def _group(column: str) -> str:
    """What a reader calls the part that a column of the design belongs to."""
    if season := re.fullmatch(r"(year|week|day|weekend)\d+", column):
        return f"season of the {season[1]}"
    calendar = {"edge": "day of the month", "holds": "days of the period", "peak": "weeks that stand out"}
    return features.of_file(column) or calendar.get(column.partition(":")[0], "closings")
