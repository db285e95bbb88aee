"""The day as one picture."""

import io
from collections.abc import Sequence
from typing import Any

import numpy as np

from functions.clustering.domain.reasons import number
from functions.clustering.domain.scaling import Floats


def draw(points: Sequence[tuple[float, float, bool]], rides: int, anomalies: int, title: str) -> bytes:
    """PNG of distance against time, both logarithmic, from a sample of (km, h, anomalous), with lines of equal speed.

    The frame holds the bulk of the sample; what lies outside is drawn on its edge.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 6.2), dpi=110, layout="constrained")
    axes = figure.add_subplot()
    every = np.array([(km, hours * 60, anomalous) for km, hours, anomalous in points]).reshape(-1, 3)
    if len(every):
        low, high = np.quantile(every[:, :2], (0.01, 0.98), axis=0)
        low, high = np.clip(low / 2, 1e-3, 1e5), np.clip(high * 2.5, 1e-2, 1e6)
        axes.set(xlim=(low[0], high[0]), ylim=(low[1], high[1]))
        every[:, :2] = np.clip(every[:, :2], low, high)
        _draw_speeds(axes, low, high)
    axes.set(xscale="log", yscale="log", xlabel="distance, km", ylabel="time, min", title=title)
    for flag, colour, alpha, label in (
        (0, "#4c78a8", 0.35, f"ordinary: {rides - anomalies:,}"),
        (1, "#d9480f", 0.65, f"anomalous: {anomalies:,} ({anomalies / max(rides, 1):.1%})"),
    ):
        shown = every[every[:, 2] == flag]
        axes.plot(
            shown[:, 0], shown[:, 1], "o", color=colour, alpha=alpha, markersize=3, markeredgewidth=0, clip_on=False
        )
        axes.plot([], [], "o", color=colour, label=f"{label}, {len(shown):,} drawn")
    axes.legend(loc="lower right", framealpha=0.95)
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_formatter(lambda value, _: number(value))
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", metadata={"Software": None})
    return buffer.getvalue()


def _draw_speeds(axes: Any, low: Floats, high: Floats) -> None:
    for speed in (1, 10, 100):
        km = np.array([max(low[0], low[1] * speed / 60), min(high[0], high[1] * speed / 60)])
        if km[0] < km[1]:
            axes.plot(km, km / speed * 60, color="0.8", linewidth=0.8, zorder=1)
            axes.annotate(
                f"{speed} km/h",
                (km[1], km[1] / speed * 60),
                (-4, -4),
                textcoords="offset points",
                ha="right",
                va="top",
                fontsize=8,
                color="0.45",
            )
