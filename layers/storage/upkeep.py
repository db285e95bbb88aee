"""What a person does about stored versions: check one against its hashes, and remove those that nobody needs."""

from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

from layers.runtime.errors import CorruptError, NotFoundError
from layers.storage.manifest import Manifest, manifest_key
from layers.storage.objects import S3Objects
from layers.storage.registry import ModelRegistry
from layers.storage.tables import DynamoTable

READERS = 8


def verified(registry: ModelRegistry, leaf: str, version: str) -> Manifest:
    """The version's manifest, after each of its files was read. Raises NotFoundError, CorruptError."""
    manifest = registry.manifest(leaf, version)
    with ThreadPoolExecutor(READERS) as pool:
        for _ in pool.map(lambda name: registry.read(manifest, name), manifest.files):
            pass
    return manifest


def superfluous(registry: ModelRegistry, leaf: str, keep: int) -> list[str]:
    """Versions, newest first, but the champion, the one before it and the `keep` newest of the others."""
    standing = _standing(registry, leaf)
    return [row["version"] for row in registry.versions(leaf) if row["version"] not in standing][keep:]


def prune(registry: ModelRegistry, objects: S3Objects, table: DynamoTable, leaf: str, keep: int) -> list[str]:
    """Remove what is superfluous, all but the files that a kept version shares; returns the removed versions.

    When it dies half-way, the next call ends the work. Raises CorruptError, and removes nothing, when a kept manifest
    cannot be read, because it is not known then what it needs.
    """
    doomed = superfluous(registry, leaf, keep)
    needed: set[str] = set()
    for row in registry.versions(leaf):
        if row["version"] not in doomed:
            with suppress(NotFoundError):
                needed |= {file.key for file in registry.manifest(leaf, row["version"]).files.values()}
    removed = []
    for version in doomed:
        if version in _standing(registry, leaf):  # promoted meanwhile
            continue
        with suppress(NotFoundError, CorruptError):  # one that cannot be read goes without its files
            for file in registry.manifest(leaf, version).files.values():
                if file.key not in needed:
                    objects.delete(file.key)
        objects.delete(manifest_key(leaf, version))
        table.delete({"leaf": leaf, "version": version})
        removed.append(version)
    return removed


def _standing(registry: ModelRegistry, leaf: str) -> set[str | None]:
    champion = registry.champion(leaf)
    return {champion.version, champion.previous} if champion else set()
