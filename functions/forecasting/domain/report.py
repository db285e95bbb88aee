"""How far forecasts were off, where there is an observation, and a picture of a few."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np

from functions.forecasting.domain.model import Prediction, Trained
from functions.forecasting.domain.series import Floats, Series

SHOWN: Final = 6
SHOWN_ROWS: Final = 120
TAIL: Final = 4
INK, PAST, AHEAD = "#26323d", "#c2600f", "#14708c"

Panel = tuple[Series, Trained, Prediction | None, Prediction]


def wape(y: Floats, yhat: Floats) -> float:
    """Sum of absolute errors over the sum of sales; NaN when nothing was sold."""
    known = np.isfinite(y)
    total = float(np.abs(y[known]).sum())
    return float(np.abs(y - yhat)[known].sum()) / total if total > 0 else float("nan")


def rmspe(y: Floats, yhat: Floats) -> float:
    """Root mean squared percentage error over sales that are not 0 (Rossmann's measure); NaN when there is none."""
    sold = np.isfinite(y) & (y != 0)
    return float(np.sqrt(np.mean(((y - yhat)[sold] / y[sold]) ** 2))) if sold.any() else float("nan")


def bias(y: Floats, yhat: Floats) -> float:
    """Forecast minus sales, in shares of the sales; NaN when nothing was sold."""
    known = np.isfinite(y)
    total = float(np.abs(y[known]).sum())
    return float((yhat - y)[known].sum()) / total if total > 0 else float("nan")


def coverage(y: Floats, lower: Floats, upper: Floats, opened: Floats) -> float:
    """Share of observed open periods that lie within the interval; NaN when there is none."""
    known = np.isfinite(y) & (opened > 0)
    inside = (y >= lower - 1e-9) & (y <= upper + 1e-9)
    return float(inside[known].mean()) if known.any() else float("nan")


def draw(panels: Sequence[Panel], path: Path, *, level: float) -> None:
    """Write a PNG with a panel for each of up to six series: history, what was forecast for what was held out, and what
    is to come."""
    import matplotlib as mpl
    from matplotlib import dates
    from matplotlib.figure import Figure
    from matplotlib.ticker import EngFormatter

    shown = panels[:SHOWN]
    columns = min(len(shown), 2)
    rows = -(-len(shown) // columns)
    with mpl.rc_context({"font.size": 9, "axes.spines.top": False, "axes.spines.right": False}):
        figure = Figure(figsize=(6.4 * columns, 2.7 * rows + 0.6), layout="constrained")
        for i, (series, trained, held, forecast) in enumerate(shown):
            axis = figure.add_subplot(rows, columns, i + 1)
            frequency, shown_rows = series.frequency, max(SHOWN_ROWS, TAIL * len(forecast.times))
            recent = slice(max(0, series.observed - shown_rows), series.observed)
            times, y = series.times[recent], series.y[recent]
            axis.plot(frequency.clock(times), y, color=INK, linewidth=0.9, label="sales")
            heights = [y, np.array([0.0, 1e-9])]
            for part, colour, name in ((held, PAST, "held out"), (forecast, AHEAD, "forecast")):
                if part is not None:
                    band: dict[str, Any] = {"color": colour, "alpha": 0.18, "linewidth": 0}
                    clock = frequency.clock(part.times)
                    axis.plot(clock, part.yhat, color=colour, linewidth=1.1, label=name)
                    axis.fill_between(clock, part.lower, part.upper, label=f"{name} interval", **band)
                    heights += [part.lower, part.upper]
            low, high = (1.05 * bound(np.concatenate(heights)) for bound in (np.nanmin, np.nanmax))
            axis.set_ylim(low, high)
            if max(high, -low) >= 1000:  # below, the prefixes of engineers are no help: a half would be 500m
                axis.yaxis.set_major_formatter(EngFormatter(sep=""))
            axis.set_title(f"{series.series_id}: {_in_words(trained)}", fontsize=9, loc="left")
            locator = dates.AutoDateLocator(minticks=3, maxticks=7)  # type: ignore[no-untyped-call]
            axis.xaxis.set_major_locator(locator)
            axis.xaxis.set_major_formatter(dates.ConciseDateFormatter(locator))  # type: ignore[no-untyped-call]
        handles, labels = figure.axes[0].get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside lower center", ncols=5 if columns > 1 else 3, frameon=False)
        more = f" of {len(panels)}" if len(panels) > len(shown) else ""
        figure.suptitle(f"{len(shown)}{more} series, with {level:.0%} intervals", fontsize=11)
        figure.savefig(path, dpi=110)


def _in_words(trained: Trained) -> str:
    """The kind of a model, and how far it and the better baseline were off."""
    tested = trained.backtest
    ours = "" if tested is None or tested.wape is None else f", WAPE {tested.wape:.3f}"
    theirs = "" if tested is None or tested.baseline_wape is None else f" (baseline {tested.baseline_wape:.3f})"
    return f"{trained.kind}{ours}{theirs}"
