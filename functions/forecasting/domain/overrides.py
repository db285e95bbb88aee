"""What people make of a forecast: whose word holds in each period, the planned line, and what it was worth."""

from collections.abc import Iterable, Mapping, Sequence
from math import fsum
from typing import Any, Final

from functions.forecasting.contracts import Override

DIGITS: Final = 6


def merge(standing: Sequence[Override], new: Override) -> list[Override]:
    """Words after a new one, oldest first: each period has the newest word, and a word without a period goes.

    A word that says the same again keeps the forecast of the first, so that coming twice changes nothing but its time.
    """
    newer = {ds for one in standing if one.at >= new.at for ds in one.yhat}
    says = new.model_dump(exclude={"at", "yhat"})
    same = (one.yhat for one in standing if one.model_dump(exclude={"at", "yhat"}) == says)
    first = {ds: yhat for periods in same for ds, yhat in periods.items()}
    own = {ds: first.get(ds, yhat) for ds, yhat in new.yhat.items() if ds not in newer}
    words = [
        *(one.model_copy(update={"yhat": {ds: y for ds, y in one.yhat.items() if ds not in own}}) for one in standing),
        new.model_copy(update={"yhat": own}),
    ]
    return sorted((one for one in words if one.yhat), key=lambda one: one.at)


def moving(words: Iterable[Override], today: str) -> list[Override]:
    """Those that move the forecast on this day."""
    return [one for one in words if one.moves and (one.expires or today) >= today]


def apply(document: dict[str, Any], words: Iterable[Override]) -> dict[str, Any]:
    """A forecast's document with the planned line where a word stands; the same object where none does."""
    labels = {point["ds"] for point in document["points"]}
    applied = [one for one in words if not labels.isdisjoint(one.yhat)]
    holder = {ds: one for one in applied for ds in one.yhat}
    if not applied:
        return document
    points = [
        point | {"planned": holder[point["ds"]].planned(point["yhat"])} if point["ds"] in holder else point
        for point in document["points"]
    ]
    return document | {"points": points, "overrides": [one.info() for one in applied]}


def planned_line(document: dict[str, Any]) -> list[float]:
    """What is planned for each period of a document: the model's word where nobody has one."""
    return [point.get("planned", point["yhat"]) for point in document["points"]]


def account(words: Iterable[Override], observed: Mapping[str, float | None]) -> dict[str, Any]:
    """`items`, newest first, `by_reason` and `total` with the value added over periods that are `observed`."""
    items, reasons, everything = [], dict[tuple[str, str], list[dict[str, Any]]](), list[dict[str, Any]]()
    for one in sorted((one for one in words if one.moves), key=lambda one: one.at, reverse=True):
        periods = [
            {"periods": 1, "error_without": abs(y - yhat), "error_with": abs(y - one.planned(yhat))}
            for ds, yhat in one.yhat.items()
            if (y := observed.get(ds)) is not None and ds[:10] <= (one.expires or ds)
        ]
        items.append(one.info() | {"value_added": (added := _sum(periods))})
        if added:
            reasons.setdefault((one.by, one.reason), []).append(added)
            everything.append(added)
    by_reason = [{"by": by, "reason": reason, **(_sum(parts) or {})} for (by, reason), parts in reasons.items()]
    return {"items": items, "by_reason": by_reason, "total": _sum(everything)}


def _sum(parts: Sequence[Mapping[str, Any]]) -> dict[str, Any] | None:
    if not parts:
        return None
    without, with_words = (
        round(fsum(part[name] for part in parts), DIGITS) for name in ("error_without", "error_with")
    )
    return {
        "periods": sum(part["periods"] for part in parts),
        "error_without": without,
        "error_with": with_words,
        "value_added": round(without - with_words, DIGITS),
    }
