"""How a day's objects become items of work of a sensible size."""

from collections.abc import Callable, Iterable

from functions.clustering.contracts import Source
from layers.runtime.errors import InputError


def plan(
    objects: Iterable[Source],
    row_groups: Callable[[Source], list[tuple[int, int]]],
    *,
    item_bytes: int,
    item_rides: int,
    item_objects: int,
    footer_bytes: int,
) -> list[list[Source]]:
    """Group objects in their order: small objects together, large Parquet split between row groups.

    `row_groups` reads a footer, (rows, bytes) of each row group, and is asked only for what is over `footer_bytes`.
    What has none, because it is CSV or damaged, stays whole: who labels it says why.
    """
    items: list[list[Source]] = []
    size = item_bytes
    for source in objects:
        if source.size > footer_bytes:
            items.extend([piece] for piece in _split(source, row_groups, item_bytes, item_rides))
            size = item_bytes
        elif items and size + source.size <= item_bytes and len(items[-1]) < item_objects:
            items[-1].append(source)
            size += source.size
        else:
            items.append([source])
            size = source.size
    return items


def _split(
    whole: Source, row_groups: Callable[[Source], list[tuple[int, int]]], item_bytes: int, item_rides: int
) -> list[Source]:
    try:
        groups = row_groups(whole)
    except InputError:
        return [whole]
    found: list[Source] = []
    first = row = rides = size = 0
    for i, (rows, length) in enumerate(groups):
        if i > first and (rides + rows > item_rides or size + length > item_bytes):
            found.append(whole.model_copy(update={"row_groups": (first, i), "first_row": row}))
            first, row, rides, size = i, row + rides, 0, 0
        rides, size = rides + rows, size + length
    last = whole.model_copy(update={"row_groups": (first, len(groups)), "first_row": row})
    return [*found, last] if found else [whole]
