"""What is said of rides: why one was flagged, the figures of a run, and the run as one picture."""

import io
from collections.abc import Iterable, Sequence
from itertools import chain
from statistics import median
from typing import Any, Final, Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray
from scipy.special import ndtr

from functions.clustering.contracts import Flag, PartReport, Plot, VerdictReport
from functions.clustering.domain.model import UNITS, Floats, Model, UsualSpeed
from functions.clustering.domain.verdicts import SEVERITIES, with_share

USUAL_KMH, MOST = (3.0, 120.0), 0.1
PLOTTED, SAMPLED, LISTED = 20_000, 2_000, 1_000
USUAL_DAYS: Final = 28
FEWEST_DAYS, FAR, DEVIATIONS = 3, 1.5, 3.0
SPEEDS = (1, 10, 100)  # km/h, drawn as lines
# Kinds of reason, and the words in the sentence that tell them apart, in this order.
KINDS = {
    "impossible": "over the possible",
    "fast": "times the usual speed",
    "slow": "times slower than usual",
    "long": "took longer",
    "brief": "took shorter",
    "far": "longer than",
    "near": "shorter than",
}
# The histogram: bins of a tenfold, its first cell (1 m, 0.6 s), and its size: as far as a ride can go, and both flags.
BINS, FIRST_CELL, GRID = 8, (-24, -16), (65, 64, 2)


def reasons(model: Model, dist: Floats, time: Floats) -> pa.Array:
    """One sentence for each anomalous ride, km and h, (n,): its speed or its distance, whichever fewer rides have.

    "12.4 km in 2 min: 372 km/h, 9 times the usual speed for this distance". The book's method, which knows no usual
    speed, names the distance or the time, whichever is farther from the nearest core point.
    """
    speed, limit = dist / time, model.parameters.max_speed_kmh or np.inf
    points = model.scale.transform(dist, time)
    distance = _ranked(dist, model.dist, "longer", "shorter", "distance")
    if isinstance(model.scale, UsualSpeed):
        by_speed = _speed_is_rarer(model, dist, np.abs(points[:, 0])) | (speed > limit)
        words = pc.if_else(by_speed, _unusual(speed, model.scale.usual(dist)), distance)
    else:
        gaps = np.abs(points - (model.cores[model.tree.query(points)[1]] if len(model.cores) else 0.0))
        by_time = gaps[:, 0] < gaps[:, 1]
        words = pc.if_else(by_time, _ranked(time, model.time, "took longer", "took shorter", "time"), distance)
    over = pc.if_else(speed > limit, f", over the possible {number(limit)} km/h", "")
    return _joined(_numbers(dist), " km in ", _durations(time), ": ", words, over)


def kind(reason: str) -> str:
    """Which of `KINDS` a sentence of `reasons` is of."""
    return next(name for name, words in KINDS.items() if words in reason)


def _speed_is_rarer(model: Model, dist: Floats, unusual: Floats) -> NDArray[np.bool_]:
    """Whether fewer rides have a speed at least as unusual than have a distance at least as long, or as short.

    Speeds are counted as if normal, distances in the sample. A speed within one deviation explains nothing.
    """
    sample = len(model.dist)
    as_short = np.searchsorted(model.dist, dist, "right")
    as_long = sample - np.searchsorted(model.dist, dist, "left")
    distances = np.maximum(np.minimum(as_short, as_long), 0.5) / sample
    return np.asarray((unusual > 1) & (ndtr(-unusual) <= distances))


def _unusual(kmh: Floats, usual: Floats) -> pa.Array:
    times = _numbers(np.maximum(kmh / usual, usual / kmh), 2)
    than = pc.if_else(
        kmh >= usual, " times the usual speed for this distance", " times slower than usual for this distance"
    )
    return _joined(_numbers(kmh), " km/h, ", times, than)


def _ranked(values: Floats, quantiles: Floats, above: str, below: str, what: str) -> pa.Array:
    middle, count = float(quantiles[len(quantiles) // 2]), len(quantiles)
    high = values >= middle
    beyond = np.where(high, np.searchsorted(quantiles, values), count - np.searchsorted(quantiles, values, "right"))
    share = _numbers(np.minimum(100 * beyond / count, 99.9))
    times = _numbers(np.where(high, values / middle, middle / values), 2)
    usual = pc.if_else(high, f" times the usual {what}", f" times below the usual {what}")
    return _joined(pc.if_else(high, above, below), " than ", share, " % of rides, ", times, usual)


def _durations(hours: Floats) -> pa.Array:
    """In seconds below two minutes, in minutes below two hours, else in hours."""
    unit = np.digitize(hours, (1 / 30, 2))
    return _joined(_numbers(hours * np.array((3600, 60, 1))[unit]), pa.array([" s", " min", " h"]).take(pa.array(unit)))


def _numbers(values: Floats, digits: int = 3) -> pa.Array:
    """Each as `number` writes it: few differ, so few are written."""
    scale = 10.0 ** np.maximum(digits - 1 - np.floor(np.log10(np.maximum(values, 1e-99))), 0)
    rounded, which = np.unique(np.round(values * scale) / scale, return_inverse=True)
    return pa.array([number(value, digits) for value in rounded.tolist()], pa.string()).take(pa.array(which))


def number(value: float, digits: int = 3) -> str:
    """That many significant digits, whole from 100 up, and no exponent below a million."""
    if value >= 1e6:
        return f"{value:.2g}"
    if value >= 100 - 10.0 ** (2 - digits) / 2:  # what would be rounded to 100
        return f"{value:,.0f}"
    return f"{value:.{digits}g}"


def _joined(*parts: Any) -> pa.Array:
    return pc.binary_join_element_wise(*parts, "")


def figures(
    parts: Sequence[PartReport], verdicts: VerdictReport | None = None, possible_kmh: float | None = None
) -> dict[str, Any]:
    """Counts of a whole run, by severity, and warnings: of a speed that is not usual, of many flags.

    Usual is what a vehicle of a city drives, or up to three quarters of the possible if a person names it.
    """
    severe = np.sum([part.severe or [0] * len(SEVERITIES) for part in parts], axis=0).tolist()
    counts = {name: sum(getattr(part, name) for part in parts) for name in ("rides", "anomalies", "rejected")}
    speed, share, warnings = median_speed(parts), counts["anomalies"] / max(counts["rides"], 1), list[str]()
    if not USUAL_KMH[0] <= speed <= max(USUAL_KMH[1], 0.75 * (possible_kmh or 0)):
        warnings.append(f"the median speed is {number(speed)} km/h: {UNITS}")
    if share > MOST:
        warnings.append(
            f"{share:.0%} of the rides are flagged, more than can be abnormal: they are unlike those learned from, or "
            "of several kinds that are better labelled apart; plot.png shows them"
        )
    counted = {
        **counts,
        "rides_of_severity": dict(zip(map("{:g}".format, SEVERITIES), severe, strict=True)),
        "warnings": warnings,
    }
    return counted | ({"verdicts": with_share(verdicts, counted).model_dump()} if verdicts else {})


def median_speed(parts: Sequence[PartReport]) -> float:
    """Of all rides, km/h, by the samples of the ordinary and of the anomalous ones of each part."""
    speeds, weights = [USUAL_KMH[0]], [0.0]
    for part in parts:
        for flag, rides in ((False, part.rides - part.anomalies), (True, part.anomalies)):
            own = [km / hours for km, hours, anomalous in part.points if anomalous == flag]
            speeds += own
            weights += [rides / len(own)] * len(own) if own else []
    order = np.argsort(speeds)
    reached = np.cumsum(np.array(weights)[order])
    return float(np.array(speeds)[order][np.searchsorted(reached, reached[-1] / 2)])


def most_severe(flags: Iterable[Flag]) -> list[Flag]:
    """At most `LISTED`, the most severe first."""
    return sorted(flags, key=lambda flag: (-flag.severity, flag.ride_id))[:LISTED]


def histogram(dist: Floats, time: Floats, anomalous: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Rides, km and h, (n,), by cell and by flag; what lies beyond is counted in the last cell, `GRID`."""
    places = np.floor(np.log10(np.column_stack((dist, time * 60))) * BINS).astype(np.int64) - FIRST_CELL
    i, j = np.clip(places, 0, np.array(GRID[:2]) - 1).T
    return np.bincount((i * GRID[1] + j) * 2 + anomalous, minlength=GRID[0] * GRID[1] * 2).reshape(GRID)


def cells(counts: NDArray[np.int64]) -> list[tuple[int, int, int, int]]:
    """Those of a histogram that hold rides, as `Plot` has them."""
    places = np.argwhere(counts.any(axis=2))
    rows = np.column_stack((places + FIRST_CELL, counts[tuple(places.T)]))
    return [(i, j, ordinary, anomalous) for i, j, ordinary, anomalous in rows.tolist()]


def plot(parts: Sequence[PartReport]) -> Plot:
    """Of a whole run: a histogram of all rides, and a sample."""
    counts = np.zeros(GRID, np.int64)
    for i, j, *rides in chain.from_iterable(part.cells for part in parts):
        counts[i - FIRST_CELL[0], j - FIRST_CELL[1]] += rides
    return Plot(bins=BINS, cells=cells(counts), sample=_sample(parts, SAMPLED))


def _sample(parts: Sequence[PartReport], size: int) -> list[tuple[float, float, bool]]:
    share = max(1, -(-sum(len(part.points) for part in parts) // size))
    return [point for part in parts for point in part.points[::share]]


def against_usual(
    rides: int, anomalies: int, before: Sequence[float]
) -> tuple[float | None, Literal["high", "low"] | None]:
    """The middle of the shares of the days `before` (none of fewer than three), and whether a day is far from it: by
    half or more, and by more than three deviations of a count (the page marks days by the same rule)."""
    if len(before) < FEWEST_DAYS:
        return None, None
    usual = median(before)
    expected = usual * rides
    if abs(anomalies - expected) <= DEVIATIONS * (expected + 1) ** 0.5:
        return usual, None
    high, low = anomalies >= FAR * expected, anomalies * FAR <= expected
    return usual, "high" if high else "low" if low else None


def draw(parts: Sequence[PartReport], title: str) -> bytes:
    """PNG of distance against time, both logarithmic, from the parts' samples, with lines of equal speed.

    The frame holds the bulk of the sample; what lies outside is drawn on its edge.
    """
    from matplotlib.figure import Figure
    from matplotlib.ticker import LogLocator, NullFormatter

    figure = Figure(figsize=(9, 6.2), dpi=110, layout="constrained")
    axes = figure.add_subplot()
    drawn = [(km, hours * 60, anomalous) for km, hours, anomalous in _sample(parts, PLOTTED)]
    points = np.array(drawn).reshape(-1, 3)
    if len(points):
        low, high = np.quantile(points[:, :2], (0.01, 0.98), axis=0)
        low, high = np.clip(low / 2, 1e-3, 1e5), np.clip(high * 2.5, 1e-2, 1e6)
        axes.set(xlim=(low[0], high[0]), ylim=(low[1], high[1]))
        points[:, :2] = np.clip(points[:, :2], low, high)
        for speed in SPEEDS:
            km = np.array([max(low[0], low[1] * speed / 60), min(high[0], high[1] * speed / 60)])
            if km[0] < km[1]:
                axes.plot(km, km / speed * 60, color="0.8", linewidth=0.8, zorder=1)
                axes.text(km[1], km[1] / speed * 60, f"{speed} km/h ", ha="right", va="top", color="0.45")
    axes.set(xscale="log", yscale="log", xlabel="distance, km", ylabel="time, min", title=title)
    rides, anomalies = (sum(getattr(part, name) for part in parts) for name in ("rides", "anomalies"))
    for flag, colour, alpha, label in (
        (0, "#4c78a8", 0.35, f"ordinary: {rides - anomalies:,}"),
        (1, "#d9480f", 0.65, f"anomalous: {anomalies:,} ({anomalies / max(rides, 1):.1%})"),
    ):
        x, y = points[points[:, 2] == flag, :2].T
        axes.plot(x, y, "o", color=colour, alpha=alpha, markersize=3, markeredgewidth=0, clip_on=False)
        axes.plot([], [], "o", color=colour, label=f"{label}, {len(x):,} drawn")
    axes.legend(loc="lower right", framealpha=0.95)
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axis.set_major_formatter(lambda value, _: number(value))
        axis.set_minor_formatter(NullFormatter())
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", metadata={"Software": None})
    return buffer.getvalue()
