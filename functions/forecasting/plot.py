"""A picture of a few forecasts: history, what was forecast for the held-out days, what is to come."""

from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from typing import Any, Final

import numpy as np

from functions.forecasting.domain.model import Prediction
from functions.forecasting.domain.series import Series
from functions.forecasting.files import Result

SHOWN: Final = 6
TAIL: Final = 4
INK, PAST, AHEAD = "#26323d", "#c2600f", "#14708c"


def draw(pairs: Sequence[tuple[Series, Result]], path: Path, *, level: float) -> None:
    """Write a PNG with one panel for each of up to six series."""
    import matplotlib as mpl
    from matplotlib.figure import Figure

    dates: Any = import_module("matplotlib.dates")

    chosen = pairs[:SHOWN]
    columns = 1 if len(chosen) == 1 else 2
    rows = -(-len(chosen) // columns)
    with mpl.rc_context({"font.size": 9, "axes.spines.top": False, "axes.spines.right": False}):
        figure = Figure(figsize=(6.4 * columns, 2.7 * rows + 0.6), layout="constrained")
        axes = figure.subplots(rows, columns, squeeze=False).ravel()
        for axis, (series, result) in zip(axes, chosen, strict=False):
            _panel(axis, dates, series, result)
        for axis in axes[len(chosen) :]:
            axis.set_visible(False)
        handles, labels = _legend(axes[0])
        figure.legend(handles, labels, loc="outside lower center", ncols=5 if columns > 1 else 3, frameon=False)
        more = f" of {len(pairs)}" if len(pairs) > len(chosen) else ""
        figure.suptitle(f"{len(chosen)}{more} series, with {level:.0%} intervals", fontsize=11)
        figure.savefig(path, dpi=110)


def _panel(axis: Any, dates: Any, series: Series, result: Result) -> None:
    observed = series.observed
    shown = min(observed, max(120, TAIL * len(result.forecast.days)))
    days, y = series.days[observed - shown : observed], series.y[observed - shown : observed]
    axis.plot(days, y, color=INK, linewidth=0.9, label="sales")
    for predicted, colour, name in ((result.held, PAST, "held out"), (result.forecast, AHEAD, "forecast")):
        if predicted is not None:
            _band(axis, predicted, colour, name)
    report = result.trained.backtest
    figures = "" if report is None or report.wape is None else f", WAPE {report.wape:.3f}"
    versus = "" if report is None or report.baseline_wape is None else f" (baseline {report.baseline_wape:.3f})"
    axis.set_title(f"{series.series_id}: {result.trained.kind}{figures}{versus}", fontsize=9, loc="left")
    parts = [part.upper for part in (result.held, result.forecast) if part is not None]
    low = min(-_top(-y), *(-_top(-part.lower) for part in (result.held, result.forecast) if part is not None), 0.0)
    axis.set_ylim(bottom=1.05 * low, top=1.05 * max(_top(y), *map(_top, parts), 1e-9))
    axis.xaxis.set_major_locator(dates.AutoDateLocator(minticks=3, maxticks=7))
    axis.xaxis.set_major_formatter(dates.ConciseDateFormatter(axis.xaxis.get_major_locator()))


def _band(axis: Any, predicted: Prediction, colour: str, name: str) -> None:
    axis.plot(predicted.days, predicted.yhat, color=colour, linewidth=1.1, label=name)
    axis.fill_between(
        predicted.days,
        predicted.lower,
        predicted.upper,
        color=colour,
        alpha=0.18,
        linewidth=0,
        label=f"{name} interval",
    )


def _legend(axis: Any) -> tuple[list[Any], list[str]]:
    handles, labels = axis.get_legend_handles_labels()
    return handles, labels


def _top(values: Any) -> float:
    return float(np.nanmax(values)) if np.isfinite(values).any() else 0.0
