"""What every object store and every table promises; run against the fakes and against the real adapters."""

from datetime import UTC, datetime
from typing import Any

import pytest
from boto3.dynamodb.conditions import Attr, Key

from layers.runtime.errors import ConflictError, InputError, NotFoundError


class ObjectsContract:
    """Subclasses give the fixture `objects`: an empty bucket."""

    def test_gives_back_what_was_put(self, objects: Any) -> None:
        objects.put("a/b", b"body")
        assert objects.get("a/b") == b"body"

    def test_says_which_key_does_not_exist(self, objects: Any) -> None:
        with pytest.raises(NotFoundError, match="a/missing"):
            objects.get("a/missing")

    def test_puts_if_absent_only_once(self, objects: Any) -> None:
        objects.put("once", b"first", if_absent=True)
        with pytest.raises(ConflictError):
            objects.put("once", b"second", if_absent=True)
        assert objects.get("once") == b"first"

    def test_replaces_only_the_version_that_was_read(self, objects: Any) -> None:
        objects.put("merge", b"1")
        _, etag = objects.get_tagged("merge")
        objects.put("merge", b"2", if_match=etag)
        with pytest.raises(ConflictError):
            objects.put("merge", b"3", if_match=etag)
        assert objects.get("merge") == b"2"

    def test_gives_what_changed_and_nothing_while_it_did_not(self, objects: Any) -> None:
        etag = objects.put("polled", b"1")
        assert objects.get_changed("polled", "") == (b"1", etag)
        assert objects.get_changed("polled", etag) is None
        objects.put("polled", b"2")
        assert objects.get_changed("polled", etag)[0] == b"2"
        with pytest.raises(NotFoundError):
            objects.get_changed("never", etag)

    def test_lists_a_prefix_in_order_with_sizes(self, objects: Any) -> None:
        for key in ("list/b", "list/a", "other"):
            objects.put(key, key.encode())
        assert [(o.key, o.size) for o in objects.list("list/")] == [("list/a", 6), ("list/b", 6)]
        assert [o.key for o in objects.list("list/", after="list/a")] == ["list/b"]
        assert all(abs((datetime.now(UTC) - o.modified).total_seconds()) < 600 for o in objects.list("list/"))

    def test_reads_ranges_of_an_open_object(self, objects: Any) -> None:
        objects.put("range", bytes(range(200)))
        with objects.open("range") as file:
            file.seek(-3, 2)
            assert file.read() == bytes([197, 198, 199])
            file.seek(10)
            assert file.read(2) == bytes([10, 11])
        assert objects.range(next(objects.list("range")), 5, 7) == bytes([5, 6])

    def test_ranges_of_an_object_that_was_replaced_meanwhile_are_refused(self, objects: Any) -> None:
        """Else a footer of one version would be read with row groups of another."""
        objects.put("replaced", bytes(3 << 20))
        old = next(objects.list("replaced"))
        with objects.open("replaced") as file:
            assert file.read(4) == bytes(4)
            objects.put("replaced", b"1" * (3 << 20))
            file.seek(2 << 20)
            with pytest.raises(ConflictError, match="replaced"):
                file.read(4)
        for read in (objects.open, objects.get):
            with pytest.raises(ConflictError, match="replaced"):
                read("replaced", if_match=old.etag)

    def test_deletes_what_is_there_and_what_is_not(self, objects: Any) -> None:
        objects.put("gone", b"")
        objects.delete("gone")
        objects.delete("gone")
        with pytest.raises(NotFoundError):
            objects.get("gone")

    def test_tags_only_what_exists(self, objects: Any) -> None:
        objects.put("tagged", b"")
        objects.tag("tagged", superseded="true")
        with pytest.raises(NotFoundError):
            objects.tag("untagged", superseded="true")


class TableContract:
    """Subclasses give the fixture `table`: an empty table with the key (`leaf`, `version`)."""

    def test_gives_back_numbers_lists_and_maps(self, table: Any) -> None:
        item = {"leaf": "a", "version": "1", "n": 3, "x": 0.1, "s": "t", "list": [1, 2.5], "map": {"k": None}}
        table.put(item)
        assert table.get({"leaf": "a", "version": "1"}) == item

    def test_knows_nothing_of_a_missing_item(self, table: Any) -> None:
        assert table.get({"leaf": "a", "version": "missing"}) is None

    def test_refuses_what_no_table_can_hold(self, table: Any) -> None:
        with pytest.raises(InputError, match="NaN"):
            table.put({"leaf": "a", "version": "1", "x": float("nan")})

    def test_writes_only_when_the_condition_holds(self, table: Any) -> None:
        key = {"leaf": "c", "version": "1"}
        table.put(key | {"n": 1}, condition=Attr("leaf").not_exists())
        for condition in (Attr("leaf").not_exists(), Attr("n").eq(2), Attr("n").eq(1) & Attr("m").exists()):
            with pytest.raises(ConflictError):
                table.put(key | {"n": 9}, condition=condition)
        table.put(key | {"n": 2}, condition=Attr("n").lt(2) | Attr("m").exists())
        assert table.get(key) == key | {"n": 2}

    def test_adds_to_counters_that_need_not_exist(self, table: Any) -> None:
        key = {"leaf": "d", "version": "1"}
        table.add(key, {"a": 1, "b.c=d": 2}, expires_at=99)
        table.add(key, {"a": 4})
        assert table.get(key) == key | {"a": 5, "b.c=d": 2, "expires_at": 99}

    def test_queries_a_partition_in_either_order(self, table: Any) -> None:
        for version in ("2", "1", "3"):
            table.put({"leaf": "e", "version": version})
        table.put({"leaf": "f", "version": "1"})
        condition = Key("leaf").eq("e")
        assert [item["version"] for item in table.query(condition)] == ["1", "2", "3"]
        assert [item["version"] for item in table.query(condition, newest_first=True)] == ["3", "2", "1"]
        narrowed = condition & Key("version").between("2", "3")
        assert [item["version"] for item in table.query(narrowed)] == ["2", "3"]

    def test_deletes_an_item_and_none_that_is_not_there(self, table: Any) -> None:
        key = {"leaf": "g", "version": "1"}
        table.put(key | {"n": 1})
        table.delete(key)
        table.delete(key)
        assert table.get(key) is None
