"""Items of work fit into what one call of a function may be given."""

import json

import pytest

from functions.clustering.contracts import Source
from functions.clustering.domain.plan import plan


@pytest.mark.parametrize("length", [20, 1_024])
def test_the_names_of_an_items_objects_fit_into_its_payload(length: int) -> None:
    sources = [Source(key="ü" * ((length - 5) // 2) + f"{i:05}", size=10) for i in range(3_000)]
    items = plan(sources, lambda _: [], item_bytes=1 << 30, item_rides=10**9, item_objects=500)
    assert [source for item in items for source in item] == sources
    for item in items:
        assert len(json.dumps([source.model_dump() for source in item])) < 200 * 1024
        assert len(item) <= 500
    assert len(items) == (6 if length == 20 else 49)
