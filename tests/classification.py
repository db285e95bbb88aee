"""Classification on fakes: one small model for all tests, and the services over memory."""

import json
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from functions.classification import learn as learning
from functions.classification.contracts import LEAF
from functions.classification.domain import splits
from functions.classification.domain.fit import Parameters
from functions.classification.domain.model import Model
from functions.classification.learn import Package
from functions.classification.serve import ScoringService
from functions.classification.settings import ClassificationSettings
from functions.classification.simulate import customers, events
from functions.classification.store import ChampionCache, Letter
from functions.classification.watch import WatchService
from layers.storage.ledger import RunLedger
from layers.storage.registry import ModelRegistry
from tests.fakes import InMemoryObjects, InMemoryTable

NOW = datetime(2024, 6, 3, 12, 30, tzinfo=UTC)
QUICK = Parameters(iterations=2, trees=30, folds=2)


def learn(table: Any, **options: Any) -> Package:
    rows, target = splits.label(table.to_pydict(), "y", without=["duration"])
    return learning.learn(rows, target, QUICK, **options)


@pytest.fixture(scope="session")
def package() -> Package:
    return learn(customers(2_000, seed=1))


@dataclass
class SentLetters:
    letters: list[Letter] = field(default_factory=list)
    refuses: bool = False

    def send(self, letters: Any) -> set[str]:
        if self.refuses:
            return {letter.message_id for letter in letters}
        self.letters.extend(letters)
        return set()


@dataclass
class Cloud:
    """Everything a deployed stack has, in memory."""

    lake: InMemoryObjects = field(default_factory=InMemoryObjects)
    models: InMemoryObjects = field(default_factory=InMemoryObjects)
    registry_table: InMemoryTable = field(default_factory=lambda: InMemoryTable("leaf", "version"))
    results: InMemoryTable = field(default_factory=lambda: InMemoryTable("user_id"))
    profiles: InMemoryTable = field(default_factory=lambda: InMemoryTable("model", "bucket"))
    runs: InMemoryTable = field(default_factory=lambda: InMemoryTable("job", "key"))
    dead_letters: SentLetters = field(default_factory=SentLetters)
    waiting: SentLetters = field(default_factory=SentLetters)
    settings: ClassificationSettings = field(default_factory=lambda: ClassificationSettings(iterations=1))
    now: datetime = NOW

    @property
    def registry(self) -> ModelRegistry:
        return ModelRegistry(self.models, self.registry_table, lambda: self.now)

    @property
    def ledger(self) -> RunLedger:
        return RunLedger(self.runs, lambda: self.now)

    def publish(self, package: Package, *, promote: bool = True) -> str:
        self.registry.publish(LEAF, package.version, package.files, data_hash="d", **package.about)
        if promote:
            standing = self.registry.champion(LEAF)
            self.registry.promote(LEAF, package.version, expected=standing and standing.version, reason="test")
        return package.version

    def champion(self) -> Model:
        model = ChampionCache(self.registry, 30).current()
        assert model is not None
        return model

    def scoring(self, **overrides: Any) -> ScoringService:
        parts: dict[str, Any] = {
            "models": ChampionCache(self.registry, 30),
            "results": self.results,
            "profiles": self.profiles,
            "lake": self.lake,
            "dead_letters": self.dead_letters,
            "waiting": self.waiting,
            "settings": self.settings,
            "clock": lambda: self.now,
        }
        return ScoringService(**(parts | overrides))


@pytest.fixture
def cloud(package: Package) -> Cloud:
    made = Cloud()
    made.publish(package)
    return made


def records(bodies: list[str], first: int = 0) -> list[dict[str, Any]]:
    return [{"messageId": f"m{first + i}", "body": body} for i, body in enumerate(bodies)]


class Started:
    """A trainer that only notes why it was started."""

    def __init__(self) -> None:
        self.reasons: list[str] = []

    def __call__(self, reason: str) -> None:
        self.reasons.append(reason)


def watch(cloud: Cloud, trainer: Started | None = None, **settings: Any) -> dict[str, Any]:
    """The hourly look."""
    chosen = ClassificationSettings(**{"watch_events": 300, **settings})
    parts = (cloud.registry, cloud.profiles, cloud.lake, cloud.ledger, trainer or Started(), chosen)
    return WatchService(*parts, lambda: cloud.now).watch()


def score(cloud: Cloud, moved: float, rows: int = 600, seed: int = 11) -> tuple[Any, datetime]:
    """Events of a population that has `moved`, scored: their customers, and when the first came."""
    table = customers(rows, seed, moved)
    start = NOW - timedelta(hours=1)
    assert cloud.scoring().score(records(events(table, seed=seed, start=start)), lambda: 60.0) == []
    return table, start


def tell_outcomes(cloud: Cloud, table: Any, start: datetime, rows: int) -> None:
    """What became of the first of them."""
    truth = table["y"].to_pylist()[:rows]
    moments = [(start + timedelta(seconds=i)).isoformat() for i in range(rows)]
    lines = [
        json.dumps({"user_id": f"user-{i:07d}", "observed_at": moment, "outcome": y})
        for i, (moment, y) in enumerate(zip(moments, truth, strict=True))
    ]
    cloud.lake.put(f"outcomes/dt={start.date()}/{rows}.jsonl", "\n".join(lines).encode())
