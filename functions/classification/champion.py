"""The champion in a warm container: loaded once, asked for again every so often."""

import time
from collections.abc import Callable
from typing import Protocol

from functions.classification import bundle
from functions.classification.contracts import LEAF
from functions.classification.domain.scoring import Model
from layers.runtime.errors import TrefoilError
from layers.runtime.observability import logger
from layers.storage.manifest import Manifest
from layers.storage.registry import Champion

log = logger("classification")


class Registry(Protocol):
    """The model registry."""

    def champion(self, leaf: str) -> Champion | None: ...
    def manifest(self, leaf: str, version: str) -> Manifest: ...
    def read(self, manifest: Manifest, name: str) -> bytes: ...


class ChampionCache:
    """A new champion, or a rollback, takes effect within `refresh_seconds`."""

    def __init__(self, registry: Registry, refresh_seconds: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._registry, self._refresh, self._clock = registry, refresh_seconds, clock
        self._model: Model | None = None
        self._asked = 0.0

    def current(self) -> Model | None:
        """The champion; when it cannot be read, the one before it, if there was one in this container.

        None before the first promotion. Raises NotFoundError or CorruptError when the stored model is not what it
        should be.
        """
        if self._model is not None and self._clock() - self._asked < self._refresh:
            return self._model
        try:
            self._model = self._load(self._model)
        except TrefoilError:
            if self._model is None:
                raise
            log.exception("champion not refreshed", version=self._model.version)
        self._asked = self._clock()
        return self._model

    def _load(self, standing: Model | None) -> Model | None:
        champion = self._registry.champion(LEAF)
        if champion is None or (standing is not None and standing.version == champion.version):
            return standing
        manifest = self._registry.manifest(LEAF, champion.version)
        return bundle.load(manifest, lambda name: self._registry.read(manifest, name))
