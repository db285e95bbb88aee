from typing import Any

import pytest

from layers.runtime.errors import ConflictError, CorruptError, NotFoundError
from layers.storage.manifest import StoredFile, content_version
from layers.storage.registry import ModelRegistry
from tests.fakes import InMemoryObjects, InMemoryTable, SentTwice

FILES = {"model": b"weights"}


@pytest.fixture
def objects() -> InMemoryObjects:
    return InMemoryObjects()


@pytest.fixture
def registry(objects: InMemoryObjects) -> ModelRegistry:
    return ModelRegistry(objects, InMemoryTable("leaf", "version"))


def test_a_version_reads_back_with_its_manifest(registry: ModelRegistry) -> None:
    registry.publish("leaf", "v1", FILES, data_hash="d", metrics={"f1": 0.5}, details={"k": [1]})
    manifest = registry.manifest("leaf", "v1")
    assert registry.read(manifest, "model") == b"weights"
    assert (manifest.data_hash, manifest.metrics, manifest.details) == ("d", {"f1": 0.5}, {"k": [1]})


def test_publishing_twice_changes_nothing(registry: ModelRegistry, objects: InMemoryObjects) -> None:
    registry.publish("leaf", "v1", FILES, data_hash="d")
    registry.promote("leaf", "v1", expected=None, reason="first")
    before = dict(objects.bodies)
    registry.publish("leaf", "v1", FILES, data_hash="d")
    assert objects.bodies == before
    assert [row["status"] for row in registry.versions("leaf")] == ["champion"]


def test_a_version_cannot_be_published_with_other_files(registry: ModelRegistry) -> None:
    registry.publish("leaf", "v1", FILES, data_hash="d")
    with pytest.raises(ConflictError):
        registry.publish("leaf", "v1", {"model": b"other"}, data_hash="d")


@pytest.mark.parametrize("before", ["leaf/v1/model", "leaf/v1/manifest.json"])
@pytest.mark.parametrize("theirs", [{"model": b"other"}, {"model": b"weights", "report": b"other"}])
def test_of_two_who_publish_a_version_at_once_the_later_is_refused_and_changes_nothing(
    before: str, theirs: dict[str, bytes]
) -> None:
    class Overtaken(InMemoryObjects):
        overtaken = False

        def put(self, key: str, body: bytes, **condition: Any) -> str:
            if key == before and not self.overtaken:
                self.overtaken = True
                ModelRegistry(self, table).publish("leaf", "v1", theirs, data_hash="d")
            return super().put(key, body, **condition)

    objects, table = Overtaken(), InMemoryTable("leaf", "version")
    registry = ModelRegistry(objects, table)
    with pytest.raises(ConflictError, match="leaf v1 exists with other files"):
        registry.publish("leaf", "v1", FILES, data_hash="d")
    manifest = registry.manifest("leaf", "v1")
    assert {name: registry.read(manifest, name) for name in manifest.files} == theirs


def test_a_changed_file_is_refused(registry: ModelRegistry, objects: InMemoryObjects) -> None:
    manifest = registry.publish("leaf", "v1", FILES, data_hash="d")
    objects.bodies["leaf/v1/model"] = b"tampered"
    with pytest.raises(CorruptError, match="leaf/v1/model"):
        registry.read(manifest, "model")


def test_an_unreadable_manifest_is_refused(registry: ModelRegistry, objects: InMemoryObjects) -> None:
    objects.bodies["leaf/v1/manifest.json"] = b'{"leaf": 1'
    with pytest.raises(CorruptError, match="manifest"):
        registry.manifest("leaf", "v1")


def test_unknown_versions_and_files_are_not_found(registry: ModelRegistry) -> None:
    manifest = registry.publish("leaf", "v1", FILES, data_hash="d")
    with pytest.raises(NotFoundError):
        registry.manifest("leaf", "v2")
    with pytest.raises(NotFoundError, match="other"):
        registry.read(manifest, "other")
    with pytest.raises(NotFoundError, match="v2"):
        registry.promote("leaf", "v2", expected=None, reason="")


def test_a_version_may_name_a_file_of_an_older_one(registry: ModelRegistry) -> None:
    old = registry.publish("leaf", "v1", FILES, data_hash="d")
    kept: dict[str, bytes | StoredFile] = {"model": old.files["model"], "new": b"more"}
    new = registry.publish("leaf", "v2", kept, data_hash="e")
    assert new.files["model"].key == "leaf/v1/model"
    assert registry.read(new, "model") == b"weights"


def test_the_champion_changes_only_from_the_one_that_was_expected(registry: ModelRegistry) -> None:
    for version in ("v1", "v2", "v3"):
        registry.publish("leaf", version, {"model": version.encode()}, data_hash=version)
    assert registry.champion("leaf") is None
    registry.promote("leaf", "v1", expected=None, reason="first")
    registry.promote("leaf", "v2", expected="v1", reason="better")
    with pytest.raises(ConflictError):
        registry.promote("leaf", "v3", expected="v1", reason="late")
    champion = registry.champion("leaf")
    assert champion
    assert (champion.version, champion.previous, champion.reason) == ("v2", "v1", "better")
    assert {row["version"]: row["status"] for row in registry.versions("leaf")} == {
        "v1": "retired",
        "v2": "champion",
        "v3": "candidate",
    }


def test_promoting_the_champion_again_is_harmless(registry: ModelRegistry) -> None:
    registry.publish("leaf", "v1", FILES, data_hash="d")
    first = registry.promote("leaf", "v1", expected=None, reason="first")
    assert registry.promote("leaf", "v1", expected=None, reason="again") == first


def test_a_promotion_that_is_sent_twice_because_its_answer_was_lost_is_no_conflict(objects: InMemoryObjects) -> None:
    registry = ModelRegistry(objects, SentTwice("leaf", "version"))
    registry.publish("leaf", "v1", FILES, data_hash="d")
    assert registry.promote("leaf", "v1", expected=None, reason="first").version == "v1"


@pytest.mark.parametrize(
    ("key", "damaged"),
    [
        ("leaf/v1/model", b"tampered"),
        ("leaf/v1/manifest.json", b"{"),
        ("leaf/v1/manifest.json", b'{"format": 2}'),
    ],
)
def test_publishing_again_mends_what_is_damaged(
    registry: ModelRegistry, objects: InMemoryObjects, key: str, damaged: bytes
) -> None:
    registry.publish("leaf", "v1", FILES, data_hash="d")
    objects.bodies[key] = damaged
    registry.publish("leaf", "v1", FILES, data_hash="d")
    assert registry.read(registry.manifest("leaf", "v1"), "model") == b"weights"


def test_a_file_that_a_dead_attempt_left_is_replaced(registry: ModelRegistry, objects: InMemoryObjects) -> None:
    objects.put("leaf/v1/report", b"of another attempt")
    registry.publish("leaf", "v1", {"report": b"ours"}, data_hash="d")
    assert registry.read(registry.manifest("leaf", "v1"), "report") == b"ours"


def test_a_manifest_of_another_format_is_refused(registry: ModelRegistry, objects: InMemoryObjects) -> None:
    registry.publish("leaf", "v1", FILES, data_hash="d")
    body = objects.bodies["leaf/v1/manifest.json"]
    assert b'"format":1' in body
    objects.bodies["leaf/v1/manifest.json"] = body.replace(b'"format":1', b'"format":2')
    with pytest.raises(CorruptError, match="manifest"):
        registry.manifest("leaf", "v1")


def test_the_status_of_a_promotion_that_died_half_way_is_mended(objects: InMemoryObjects) -> None:
    class Dying(InMemoryTable):
        dies = False

        def put(self, item: Any, *, condition: Any = None) -> None:
            if self.dies and item["version"] != "#champion":
                raise RuntimeError("killed")
            super().put(item, condition=condition)

    table = Dying("leaf", "version")
    registry = ModelRegistry(objects, table)
    registry.publish("leaf", "v1", FILES, data_hash="d")
    table.dies = True
    with pytest.raises(RuntimeError):
        registry.promote("leaf", "v1", expected=None, reason="first")
    table.dies = False
    assert [row["status"] for row in registry.versions("leaf")] == ["champion"]


def test_a_content_version_depends_on_names_and_bodies_only() -> None:
    assert content_version({"a": b"1", "b": b"2"}) == content_version({"b": b"2", "a": b"1"})
    assert len({content_version(files) for files in ({"a": b"1"}, {"a": b"2"}, {"b": b"1"})}) == 3
