"""The day as one picture."""

import io
from collections.abc import Sequence
from typing import Any

import numpy as np

from functions.clustering.domain.reasons import number
from functions.clustering.domain.scaling import Floats


def draw(points: Sequence[tuple[float, float, bool]], rides: int, anomalies: int, title: str) -> bytes:
    """PNG of distance against time, both logarithmic, from a sample of (km, h, anomalous): ordinary rides as shades of
    density, anomalous ones as points, lines of equal speed."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 6.2), dpi=110, layout="constrained")
    axes = figure.add_subplot()
    ordinary = np.array([(km, hours * 60) for km, hours, anomalous in points if not anomalous]).reshape(-1, 2)
    flagged = np.array([(km, hours * 60) for km, hours, anomalous in points if anomalous]).reshape(-1, 2)
    every = np.concatenate((ordinary, flagged))
    if len(every):
        low, high = np.quantile(every, (0.002, 0.998), axis=0)
        low, high = np.clip(low * 0.6, 1e-3, 1e5), np.clip(high * 1.6, 2e-3, 1e6)
        axes.set(xlim=(low[0], high[0]), ylim=(low[1], high[1]))
        _speed_lines(axes, low, high)
    axes.set(xscale="log", yscale="log", xlabel="distance, km", ylabel="time, min")
    axes.plot(*ordinary.T, ".", color="#4c78a8", alpha=0.25, markersize=4, markeredgewidth=0, zorder=2)
    axes.plot(*flagged.T, "o", color="#d9480f", alpha=0.6, markersize=3.5, markeredgewidth=0, zorder=3)
    axes.plot([], [], "o", color="#4c78a8", label=f"ordinary: {rides - anomalies:,}")
    axes.plot([], [], "o", color="#d9480f", label=f"anomalous: {anomalies:,} ({anomalies / max(rides, 1):.1%})")
    axes.legend(loc="upper left", framealpha=0.9)
    axes.set_title(f"{title}, {len(points):,} of {rides:,} rides shown" if len(points) < rides else title)
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_formatter(lambda value, _: number(value))
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", metadata={"Software": None})
    return buffer.getvalue()


def _speed_lines(axes: Any, low: Floats, high: Floats) -> None:
    km = np.geomspace(low[0], high[0], 2)
    for speed in (1, 10, 100):
        axes.plot(km, km / speed * 60, color="0.75", linewidth=0.8, zorder=1)
