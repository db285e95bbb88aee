import json
from concurrent.futures import ThreadPoolExecutor

import pytest

from functions.forecasting import store as module
from functions.forecasting.store import CATALOG, LARGE, SHARDS, Catalog, Row
from layers.runtime.errors import CorruptError
from tests.fakes import InMemoryObjects

ROW = Row(first_ds="2024-01-01", last_ds="2024-01-02", observations=2, history="h", profile=[0.0])


def names(count):
    return [f"s{i:04}" for i in range(count)]


def filled(count):
    lake = InMemoryObjects()
    Catalog(lake).update(names(count), lambda *_: ROW)
    return lake


class Counted(InMemoryObjects):
    """Counts bodies that were read, and lists."""

    bodies_read = lists = 0

    def get_changed(self, key, etag):
        found = super().get_changed(key, etag)
        self.bodies_read += found is not None
        return found

    def list(self, prefix):
        self.lists += 1
        return super().list(prefix)


def test_a_small_catalog_is_one_object_and_a_large_one_is_shards_that_it_names():
    assert list(filled(LARGE).bodies) == [CATALOG]
    lake = filled(LARGE + 1)
    shards = json.loads(lake.get(CATALOG))["shards"]
    assert len(shards) == SHARDS
    assert set(lake.bodies) == {CATALOG, *shards}
    assert list(Catalog(lake).rows()) == names(LARGE + 1)


def test_a_growing_catalog_is_split_once_and_keeps_every_row():
    lake = filled(LARGE - 5)
    with ThreadPoolExecutor(20) as pool:
        list(pool.map(lambda name: Catalog(lake).update([f"new-{name}"], lambda *_: ROW), range(40)))
    assert len(Catalog(lake).rows()) == LARGE + 35


@pytest.mark.parametrize("count", [3, LARGE + 1])
def test_a_removed_series_is_forgotten_and_the_others_stay(count):
    lake = filled(count)
    Catalog(lake).remove(["s0001", "unknown"])
    assert list(Catalog(lake).rows()) == [name for name in names(count) if name != "s0001"]
    Catalog(lake).remove(names(count))
    assert Catalog(lake).rows() == {}


def test_only_what_changed_is_read_again_and_nothing_is_listed():
    lake = Counted(filled(LARGE + 1).bodies)
    catalog = Catalog(lake)
    catalog.rows()
    assert lake.bodies_read == 1 + SHARDS
    assert catalog.rows() is catalog.rows()
    Catalog(lake).update(["s0000"], lambda _, row: row.model_copy(update={"observations": 9}))
    lake.bodies_read = 0
    assert catalog.rows()["s0000"].observations == 9
    assert (lake.bodies_read, lake.lists) == (1, 0)


@pytest.mark.parametrize("count", [3, LARGE + 1])
def test_a_corrupt_catalog_is_an_error_each_time_and_never_empty(count):
    lake = filled(count)
    warm, key = Catalog(lake), sorted(lake.bodies)[-1]
    warm.rows()
    for body in (b"{", b"{}", b'{"shards": []}', b'{"shards": [1]}', b'{"format": 2, "series": {}}', None):
        if body is None and key == CATALOG:
            continue
        before = lake.bodies.pop(key)
        if body is not None:
            lake.bodies[key] = body
        for reader in (warm, warm, Catalog(lake)):
            with pytest.raises(CorruptError):
                reader.rows()
        with pytest.raises(CorruptError):
            Catalog(lake).update(names(count), lambda *_: ROW)
        lake.bodies[key] = before
        assert len(warm.rows()) == count


def test_a_change_that_leaves_a_row_as_it_is_writes_nothing():
    lake = filled(3)
    before = dict(lake.bodies)
    Catalog(lake).update(["unknown"], lambda _, row: row)
    assert lake.bodies == before


def test_a_writer_that_never_gets_its_turn_says_so(monkeypatch):
    monkeypatch.setattr(module, "PATIENCE", 0.0)
    with pytest.raises(module.UnavailableError, match="too many"):
        Catalog(InMemoryObjects()).update(["a"], lambda *_: ROW)
