"""Why a ride was flagged, in words an analyst reads."""

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr

from functions.clustering.domain.model import Model
from functions.clustering.domain.scaling import Floats, UsualSpeed


def reasons(model: Model, dist: Floats, time: Floats) -> list[str]:
    """One sentence for each anomalous ride, km and h, (n,): its speed or its distance, whichever fewer rides have.

    "12.4 km in 2 min: 372 km/h, 9 times the usual speed for this distance". The book's method, which knows no usual
    speed, names the distance or the time, whichever is farther from the nearest core point.
    """
    if not len(dist):
        return []
    speed = dist / time
    limit = model.parameters.max_speed_kmh or np.inf
    columns = [dist.tolist(), time.tolist(), speed.tolist()]
    if isinstance(model.scale, UsualSpeed):
        by_speed = _speed_is_rarer(model, dist, time) | (speed > limit)
        usual = model.scale.usual(dist).tolist()
        words = [
            _speed(v, u) if f else _distance(model, d)
            for f, d, v, u in zip(by_speed, columns[0], columns[2], usual, strict=True)
        ]
    else:
        points = model.scale.transform(dist, time)
        gaps = np.abs(points - (model.cores[model.tree.query(points)[1]] if len(model.cores) else 0.0))
        by_distance = gaps[:, 0] >= gaps[:, 1]
        words = [
            _distance(model, d) if f else _time(model, t) for f, d, t in zip(by_distance, *columns[:2], strict=True)
        ]
    return [
        f"{number(km)} km in {duration(hours)}: {why}" + (f", over the possible {number(limit)} km/h" * (kmh > limit))
        for km, hours, kmh, why in zip(*columns, words, strict=True)
    ]


def _speed_is_rarer(model: Model, dist: Floats, time: Floats) -> NDArray[np.bool_]:
    """Whether fewer rides have a speed at least as unusual than have a distance at least as long, or as short.

    Speeds are counted as if normal, distances in the sample. A speed within one deviation explains nothing.
    """
    unusual = np.abs(model.scale.transform(dist, time)[:, 0])
    sample = len(model.dist)
    as_short = np.searchsorted(model.dist, dist, "right")
    as_long = sample - np.searchsorted(model.dist, dist, "left")
    distances = np.maximum(np.minimum(as_short, as_long), 0.5) / sample
    return np.asarray((unusual > 1) & (ndtr(-unusual) <= distances))


def _speed(kmh: float, usual: float) -> str:
    if kmh >= usual:
        return f"{number(kmh)} km/h, {number(kmh / usual, 2)} times the usual speed for this distance"
    return f"{number(kmh)} km/h, {number(usual / kmh, 2)} times slower than usual for this distance"


def _distance(model: Model, dist: float) -> str:
    return _ranked(dist, model.dist, "longer", "shorter", "distance")


def _time(model: Model, time: float) -> str:
    return _ranked(time, model.time, "took longer", "took shorter", "time")


def _ranked(value: float, quantiles: Floats, above: str, below: str, what: str) -> str:
    middle = float(quantiles[len(quantiles) // 2])
    if value >= middle:
        share = 100 * float(np.searchsorted(quantiles, value)) / len(quantiles)
        return f"{above} than {number(min(share, 99.9))} % of rides, {number(value / middle, 2)} times the usual {what}"
    share = 100 - 100 * float(np.searchsorted(quantiles, value, "right")) / len(quantiles)
    times = number(middle / value, 2)
    return f"{below} than {number(min(share, 99.9))} % of rides, {times} times below the usual {what}"


def number(value: float, digits: int = 3) -> str:
    """That many significant digits, whole from 100 up, and no exponent below a million."""
    if value >= 1e6:
        return f"{value:.2g}"
    if value >= 100 - 10.0 ** (2 - digits) / 2:  # what would be rounded to 100
        return f"{value:,.0f}"
    return f"{value:.{digits}g}"


def duration(hours: float) -> str:
    """In seconds below two minutes, in minutes below two hours, else in hours."""
    if hours < 1 / 30:
        return f"{number(hours * 3600)} s"
    if hours < 2:
        return f"{number(hours * 60)} min"
    return f"{number(hours)} h"
