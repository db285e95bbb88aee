"""The alarm for drift rings for a population that moved, and hardly ever for chance."""

from collections import Counter
from typing import Any

import numpy as np
import pytest

from functions.classification.contracts import Calibration, Feature, Segment, Specification, Split
from functions.classification.domain import drift, schema
from functions.classification.settings import ClassificationSettings
from functions.classification.watch import moved
from tests.classification import Cloud

Draw = np.random.Generator


class Population:
    """Columns of categories with shares of their own each; users whose events are all alike."""

    def __init__(self, draw: Draw, columns: int, categories: int, *, even: bool) -> None:
        self.draw, self.categories = draw, categories
        shares = np.full((columns, categories), 1 / categories)
        self.shares = shares if even else draw.dirichlet(np.ones(categories), size=columns)

    def rows(self, rows: int, moved: float = 0.0) -> dict[str, np.ndarray]:
        columns = {}
        for i, shares in enumerate(self.shares):
            now = (1 - moved) * shares + moved * np.roll(np.sort(shares), i) ** 2 / (shares**2).sum()
            columns[f"x{i}"] = self.draw.choice(self.categories, size=rows, p=now / now.sum()).astype(str)
        return columns


def specified(columns: dict[str, np.ndarray], held_out: int) -> Specification:
    """What training writes: categories from all rows, references from a part of them."""
    features = []
    for name, words in columns.items():
        counts = Counter(words.tolist())
        frequent = [w for w, n in counts.most_common(schema.MAX_CATEGORIES) if n >= schema.MIN_CATEGORY_ROWS]
        features.append(Feature(name=name, kind="category", categories=tuple(sorted(frequent))))
    score, (x, _) = np.linspace(0, 1, held_out), schema.encode(columns, features)
    return Specification(
        target="y", positive="1", negative="0", features=tuple(features), calibration=Calibration(), threshold=0.5,
        base_rate=0.5, segments=(Segment(name="target", low=0, high=1),),
        references=tuple(
            drift.reference(x[:, i], f, np.arange(held_out)) for i, f in enumerate(features)
        ),
        score_reference=drift.reference(score, None), split=Split(kind="hash", share=0.2, seed=0),
    )  # fmt: skip


def rings(cloud: Cloud, known: Specification, columns: dict[str, np.ndarray], draw: Draw, per_user: int = 1) -> Any:
    """Whether the watch says that these events, spread over a day and each sent `per_user` times, have moved."""
    users = len(next(iter(columns.values())))
    totals: list[Counter[str]] = [Counter() for _ in drift.parts(known)]
    for _ in range(per_user):
        x, _ = schema.encode(columns, known.features)
        for part, total in enumerate(totals):
            total.update(drift.counters(x, draw.random(users), [f"user-{i}" for i in range(users)], known, part))
    return moved(totals[0]["n"], drift.measure(known, totals), ClassificationSettings())


@pytest.mark.parametrize(
    ("columns", "categories", "reference", "events", "per_user"),
    [
        (16, 50, 200, 1_000, 1),
        (16, 50, 200, 4_000, 1),
        (16, 10, 80, 1_000, 1),
        (16, 500, 2_000, 2_000, 1),
        (60, 50, 200, 1_000, 1),
        (16, 10, 2_000, 1_000, 10),
    ],
)
def test_without_drift_the_alarm_rings_in_less_than_one_hour_in_a_hundred(
    columns: int, categories: int, reference: int, events: int, per_user: int
) -> None:
    draw, cloud, hours = np.random.default_rng(3), Cloud(), 60
    false_alarms = 0
    for hour in range(hours):
        population = Population(draw, columns, categories, even=hour % 2 == 0)
        known = specified(population.rows(int(reference / 0.4)), reference)
        now = population.rows(events // per_user)
        false_alarms += rings(cloud, known, now, draw, per_user) is not None
    assert false_alarms <= hours / 100, f"{false_alarms} of {hours} hours"


@pytest.mark.parametrize(("reference", "events"), [(200, 1_000), (2_000, 1_000), (2_000, 8_000)])
def test_a_population_that_moved_rings_and_the_reason_names_its_columns(reference: int, events: int) -> None:
    draw, cloud = np.random.default_rng(4), Cloud()
    for _ in range(10):
        population = Population(draw, 16, 10, even=False)
        known = specified(population.rows(int(reference / 0.4)), reference)
        now = population.rows(events)
        now["x3"] = draw.choice(10, size=events, p=np.roll(population.shares[3], 5)).astype(str)
        reason = rings(cloud, known, now, draw)
        assert "x3" in str(reason)


def test_a_new_category_rings_however_small_the_reference() -> None:
    draw, cloud = np.random.default_rng(5), Cloud()
    population = Population(draw, 16, 10, even=True)
    known = specified(population.rows(500), 200)
    now = population.rows(1_000)
    now["x7"][:400] = "new"
    assert "x7" in str(rings(cloud, known, now, draw))


def test_events_of_one_user_weigh_as_one_and_of_many_users_as_many() -> None:
    draw = np.random.default_rng(6)
    known = specified(Population(draw, 1, 5, even=True).rows(500), 200)

    def weight(users: list[str]) -> float:
        x, _ = schema.encode({"x0": ["1"] * len(users)}, known.features)
        half = len(users) // 2  # counts of batches and hours add up
        totals: Counter[str] = Counter()
        for rows in (slice(0, half), slice(half, None)):
            totals.update(drift.counters(x[rows], draw.random(len(users[rows])), users[rows], known, 0))
        return drift._independent(totals)

    assert weight(["one"] * 1_000) <= 1
    assert 60 < weight([f"u{i % 100}" for i in range(1_000)]) < 140
    assert 600 < weight([f"u{i}" for i in range(1_000)]) <= 1_000
