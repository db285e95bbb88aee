"""How a day's objects become items of work of a sensible size."""

import json
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager
from typing import Final

from functions.clustering.contracts import Source
from functions.clustering.domain.table import RideFile
from layers.runtime.errors import InputError

# Of the 256 KiB that Step Functions hands to an item's function: names of objects may have 1,024 bytes each.
ITEM_TEXT: Final = 192 * 1024


def plan(
    objects: Iterable[Source],
    opened: Callable[[Source], AbstractContextManager[RideFile]],
    *,
    item_bytes: int,
    item_rides: int,
    item_objects: int,
) -> list[list[Source]]:
    """Group objects in their order: small objects together, as far as their names fit, large Parquet split between row
    groups.

    Only footers of what is over `item_bytes` are read. What has none, because it is CSV or damaged, stays whole: who
    labels it says why.
    """
    items: list[list[Source]] = []
    size = text = 0
    for source in objects:
        size, text = size + source.size, text + len(json.dumps(source.model_dump()))
        if source.size > item_bytes:
            items.extend([piece] for piece in _split(source, opened, item_bytes, item_rides))
        elif items and size <= item_bytes and text <= ITEM_TEXT and len(items[-1]) < item_objects:
            items[-1].append(source)
        else:
            items.append([source])
            size, text = source.size, len(json.dumps(source.model_dump()))
    return items


def _split(
    whole: Source, opened: Callable[[Source], AbstractContextManager[RideFile]], item_bytes: int, item_rides: int
) -> Iterator[Source]:
    try:
        with opened(whole) as file:
            groups = file.all_row_groups()
    except InputError:
        groups = []
    first = row = rides = size = 0
    for i, (rows, length) in enumerate(groups):
        if i > first and (rides + rows > item_rides or size + length > item_bytes):
            yield whole.model_copy(update={"row_groups": (first, i), "first_row": row})
            first, row, rides, size = i, row + rides, 0, 0
        rides, size = rides + rows, size + length
    yield whole.model_copy(update={"row_groups": (first, len(groups)), "first_row": row}) if first else whole
