"""What makes series alike: their demand profile, which is their shape without its level, and what their items are."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np

from functions.forecasting.domain import baselines, frame
from functions.forecasting.domain.frame import weekdays
from functions.forecasting.domain.series import Floats, Series

MONTHS: Final = 12
MIN_DAYS: Final = 8
PARTS: Final = {"week shape": slice(0, 7), "year shape": slice(7, 19), "promotion response": slice(19, 20)}
CLOSED: Final = -1.0
SIZE: Final = 20
# Items that have nothing in common are as far apart as shapes that differ by half the usual sales.
APART: Final = 0.5

Item = Mapping[str, str]


def profile(series: Series) -> list[float]:
    """Log sales of 7 weekdays and 12 months against the usual level, and the promotion's log uplift; 20 numbers.

    The year is taken after a year-long trend is removed; an unknown part is 0 and a closed weekday is -1. Weeks, months
    and quarters have no weekdays.
    """
    shape = np.zeros(SIZE)
    days = frame.build(series, 1)
    sold = days.selling[: days.start]
    known = np.flatnonzero(sold > 0)
    if len(known) < MIN_DAYS:
        return shape.tolist()
    logs = np.log(sold[known])
    name = baselines.promotion(days)
    week, month = weekdays(days.clock)[known], days.clock[known].astype("datetime64[M]").astype(np.int64) % MONTHS
    promoted = np.zeros(len(known)) if name is None else (days.x[name][known] > 0).astype(float)
    span = (days.clock[known] - days.clock[known[0]]) / np.timedelta64(1, "D") / 365.25
    yearly = span[-1] >= 1.0
    dummies = [np.eye(7)[week], promoted[:, None], span[:, None]] + ([np.eye(MONTHS)[month]] if yearly else [])
    design = np.hstack(dummies)
    ridge = np.full(design.shape[1], 1.0)
    ridge[7:9] = 0.1
    beta = np.linalg.solve(design.T @ design + np.diag(ridge), design.T @ (logs - logs.mean()))
    seen = np.bincount(week, minlength=7)
    if series.frequency.rhythm.cycle > 1:
        shape[:7] = np.where(seen > 0, beta[:7] - beta[:7][seen > 0].mean(), CLOSED)
    shape[19] = beta[7]
    if yearly:
        shape[7:19] = beta[9:] - beta[9:].mean()
    return shape.round(4).tolist()


def item_of(series: Series) -> dict[str, str]:
    """What a series says of its item: regressors that have one value throughout, and not 0, column -> text."""
    item = {}
    for name, values in series.regressors.items():
        known = values[np.isfinite(values)]
        if len(known) > 1 and known[0] != 0 and (known == known[0]).all():
            column, _, text = name.partition("=")
            item[column] = text or f"{known[0]:g}"
    return item


def nearest(
    target: Floats, others: Mapping[str, Sequence[float] | Floats], k: int, item: Item, items: Mapping[str, Item]
) -> list[dict[str, Any]]:
    """The `k` of `others`, profiles by id, most like `target` (20,) and its `item`; `items` are theirs.

    Each with its distance (0 is the same shape, and the same item where there are any), and what both share most
    closely of what the target has. A target of zeros is that of a series too short to have a profile: like it is only
    what has something of its item in common.
    """
    common = {name: dict(item.items() & items.get(name, {}).items()) for name in others}
    ids = [name for name in others if target.any() or common[name]]
    if not ids:
        return []
    shares = [len(common[name]) / max(len(item.keys() | items.get(name, {}).keys()), 1) for name in ids]
    off = np.array([others[name] for name in ids]) - target
    shapes = [np.sqrt(np.mean(off[:, part] ** 2, axis=1)) for part in PARTS.values()] if target.any() else []
    parts = np.stack([APART * (1 - np.array(shares)) * bool(item), *shapes], axis=1)
    total = np.sqrt((parts**2).sum(axis=1))
    relative = parts / (np.median(parts, axis=0) + 1e-9)
    relative[[not common[name] for name in ids], 0] = np.inf
    relative[:, [False, *(not target[part].any() for part in PARTS.values())][: parts.shape[1]]] = np.inf
    closest = relative.argmin(axis=1)
    names = [(in_words(common[name]), *PARTS) for name in ids]
    return [
        {"series_id": ids[i], "distance": round(float(total[i]), 4), "shared": names[i][closest[i]]}
        for i in np.argsort(total, kind="stable")[:k].tolist()
    ]


def in_words(item: Item) -> str:
    """What is said of an item, as a text."""
    return ", ".join(f"{name} {text}" for name, text in sorted(item.items()))
