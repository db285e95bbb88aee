"""Old versions go, and nothing that a kept one needs goes with them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from layers.runtime.errors import CorruptError, NotFoundError
from layers.storage.manifest import StoredFile, code_hash
from layers.storage.registry import ModelRegistry
from layers.storage.upkeep import prune, superfluous, verified
from tests.fakes import InMemoryObjects, InMemoryTable


class House:
    """A registry on fakes whose versions may share files, as forecasting's do."""

    def __init__(self) -> None:
        self.objects, self.table = InMemoryObjects(), InMemoryTable("leaf", "version")
        self.registry = ModelRegistry(self.objects, self.table)
        self.files: dict[str, StoredFile] = {}

    def publish(self, version: str, shared: list[str]) -> None:
        own = {f"own-{version}": version.encode()}
        files = {name: self.files[name] for name in shared if name in self.files} | own
        self.files |= self.registry.publish("leaf", version, files, data_hash=version).files

    def promote(self, version: str) -> None:
        standing = self.registry.champion("leaf")
        self.registry.promote("leaf", version, expected=standing.version if standing else None, reason="test")

    def prune(self, keep: int) -> list[str]:
        return prune(self.registry, self.objects, self.table, "leaf", keep)

    @property
    def versions(self) -> set[str]:
        return {row["version"] for row in self.registry.versions("leaf")}


NAMES = [f"v{i}" for i in range(8)]
published = st.lists(st.tuples(st.sets(st.sampled_from([f"own-{name}" for name in NAMES])), st.booleans()), max_size=8)


@given(steps=published, keep=st.integers(0, 4), dies=st.integers(0, 30))
def test_whatever_is_pruned_the_champion_the_one_before_and_all_that_is_kept_read_whole(
    steps: list[tuple[set[str], bool]], keep: int, dies: int
) -> None:
    house = House()
    for name, (shared, promoted) in zip(NAMES, steps, strict=False):
        house.publish(name, sorted(shared))
        if promoted:
            house.promote(name)
    before, left = house.versions, dies
    delete = house.objects.delete

    def mortal(key: str) -> None:
        nonlocal left
        left -= 1
        if left == 0:
            raise RuntimeError("killed")
        delete(key)

    house.objects.delete = mortal  # type: ignore[method-assign]
    doomed = superfluous(house.registry, "leaf", keep)
    try:
        assert house.prune(keep) == doomed
    except RuntimeError:
        house.prune(keep)
    champion = house.registry.champion("leaf")
    assert house.versions == before - set(doomed)
    assert {champion.version, champion.previous} - {None} <= house.versions if champion else True
    for version in house.versions:
        verified(house.registry, "leaf", version)
    needed = {f.key for v in house.versions for f in house.registry.manifest("leaf", v).files.values()}
    assert {key for key in house.objects.bodies if not key.endswith("manifest.json")} == needed
    assert house.prune(keep) == []


def test_nothing_is_removed_while_it_is_not_known_what_a_kept_version_needs() -> None:
    house = House()
    for name in NAMES[:4]:
        house.publish(name, [])
    house.promote("v3")
    house.objects.bodies["leaf/v3/manifest.json"] = b"{"
    before = dict(house.objects.bodies)
    with pytest.raises(CorruptError):
        house.prune(0)
    assert house.objects.bodies == before


def test_a_version_is_verified_file_by_file() -> None:
    house = House()
    house.publish("v0", [])
    assert verified(house.registry, "leaf", "v0").code == code_hash("leaf")
    house.objects.bodies["leaf/v0/own-v0"] = b"tampered"
    with pytest.raises(CorruptError, match="leaf/v0/own-v0"):
        verified(house.registry, "leaf", "v0")
    with pytest.raises(NotFoundError):
        verified(house.registry, "leaf", "v1")


def test_the_code_of_a_leaf_is_its_own() -> None:
    hashes = {code_hash(leaf) for leaf in ("clustering", "forecasting", "classification")}
    assert len(hashes) == 3
    assert all(len(name) == 16 for name in hashes)
