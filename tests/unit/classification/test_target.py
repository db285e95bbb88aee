import json
import random
from datetime import timedelta

import pytest

from functions.classification.contracts import LEAF, Specification
from functions.classification.domain.target import Target, is_positive, read_target
from functions.classification.learn import TrainingService
from functions.classification.settings import ClassificationSettings
from tests.classification import NOW, Cloud


@pytest.mark.parametrize(
    ("values", "positive"),
    [
        (["1", "0", "1", "1"], "1"),
        (["YES", "no", "Yes", "YES"], "YES"),
        (["ja", "Ja", "ja", "nein"], "ja"),
        (["Sí", "no", "Sí"], "Sí"),
        ([True, True, False], "true"),
        (["1.0", "1", "0"], "1.0"),
        (["b", "b", "a"], "a"),
    ],
)
def test_one_yes_and_true_are_positive_even_where_they_are_common(values, positive):
    assert read_target(values, "t")[0].positive == positive


def test_what_is_positive_may_be_said_and_stands_when_it_was_said_before():
    assert read_target(["1", "0", "1"], "t", "0")[0].positive == "0"
    assert read_target(["1", "0", "1"], "t", standing=Target("t", "0", "1"))[0].positive == "0"
    assert read_target(["b", "b", "a"], "t", standing=Target("t", "B", "A"))[0].positive == "b"
    assert read_target(["b", "b", "a"], "t", standing=Target("t", "b", "c"))[0].positive == "a"


@pytest.mark.parametrize(
    ("outcome", "positive", "negative", "expected"),
    [
        ("true", "0", "1", False),
        (False, "0", "1", True),
        (1, "yes", "no", True),
        ("YES", "yes", "no", True),
        (1.0, "1", "0", True),
        (True, "churned", "stayed", True),
        ("stayed", "churned", "stayed", False),
        (1, "2", "1", False),
        (0, "2", "1", None),
        ("n/a", "1", "0", None),
        ("maybe", "yes", "no", None),
        ("", "yes", "no", None),
    ],
)
def test_an_outcome_is_read_by_what_the_target_means_and_never_guessed(outcome, positive, negative, expected):
    assert is_positive(outcome, Target("t", positive, negative)) is expected


def shop(rows: dict[str, int], seed: int) -> bytes:
    """Two kinds that one column tells apart nearly always."""
    draw = random.Random(seed)
    kinds = [kind for kind, count in rows.items() for _ in range(count)]
    draw.shuffle(kinds)
    lines = [f"{draw.gauss(60 if kind == 'stay' else 40, 8):.2f},{draw.choice('abc')},{kind}" for kind in kinds]
    return "\n".join(["spend,plan,y", *lines]).encode()


def train(cloud: Cloud, **settings) -> dict:
    chosen = ClassificationSettings(**{"iterations": 1, "trees": 20, **settings})
    return TrainingService(cloud.lake, cloud.registry, cloud.ledger, chosen, lambda: cloud.now).train("test", 600)


def meaning(cloud: Cloud, version: str) -> Specification:
    return Specification.model_validate(cloud.registry.manifest(LEAF, version).details)


def chance_of(cloud: Cloud, spend: str) -> float:
    from functions.classification.domain.schema import encode

    champion = cloud.champion()
    inputs, _ = encode({"spend": [spend], "plan": ["a"]}, champion.specification.features)
    return float(champion.score(inputs)[0])


def test_the_positive_stays_what_the_first_model_made_it_when_the_balance_crosses_one_half():
    cloud = Cloud()
    cloud.lake.put("customers/1.csv", shop({"stay": 500, "leave": 515}, 1))
    first = train(cloud)
    assert meaning(cloud, first["version"]).positive == "stay"
    before = chance_of(cloud, "70.00")
    cloud.lake.put("customers/2.csv", shop({"stay": 225, "leave": 165}, 2))
    second = train(cloud)
    assert meaning(cloud, second["version"]).positive == "stay"
    assert chance_of(cloud, "70.00") == pytest.approx(before, abs=0.05)
    assert before > 0.9


@pytest.mark.parametrize("change", ["positive", "values", "target"])
def test_a_candidate_of_another_meaning_is_kept_and_not_promoted(change):
    cloud = Cloud()
    cloud.lake.put("customers/1.csv", shop({"stay": 400, "leave": 300}, 1))
    first = train(cloud)
    assert first["promoted"]
    settings = {"positive": "stay"} if change == "positive" else {}
    if change == "values":
        cloud.lake.bodies["customers/1.csv"] = cloud.lake.get("customers/1.csv").replace(b"leave", b"gone")
    if change == "target":
        cloud.lake.bodies["customers/1.csv"] = cloud.lake.get("customers/1.csv").replace(b",y", b",z")
        settings = {"target": "z"}
    second = train(cloud, **settings)
    assert not second["promoted"]
    assert "something else" in second["reason"]
    assert cloud.registry.champion(LEAF).version == first["version"]


def test_the_meaning_outlives_a_damaged_champion():
    cloud = Cloud()
    cloud.lake.put("customers/1.csv", shop({"stay": 300, "leave": 315}, 1))
    first = train(cloud)
    cloud.models.bodies[f"{LEAF}/{first['version']}/model.onnx"] += b"x"
    cloud.lake.put("customers/2.csv", shop({"stay": 60}, 2))
    second = train(cloud)
    assert second["promoted"]
    assert meaning(cloud, second["version"]).positive == "stay"


def test_outcomes_of_neither_value_are_left_out_of_training_and_of_realised_quality():
    from functions.classification import store, watch

    cloud = Cloud()
    cloud.lake.put("customers/1.csv", shop({"stay": 300, "leave": 200}, 1))
    first = train(cloud)
    start = NOW - timedelta(hours=2)
    bodies = [
        json.dumps(
            {
                "event_id": f"e{i}", "user_id": f"u{i}", "observed_at": (start + timedelta(seconds=i)).isoformat(),
                "features": {"spend": 40.0 + i, "plan": "a"},
            }
        )
        for i in range(6)
    ]  # fmt: skip
    records = [{"messageId": f"m{i}", "body": body} for i, body in enumerate(bodies)]
    assert cloud.scoring().score(records, lambda: 60.0) == []
    words = ["leave", "n/a", "stay", "unknown", True, 0]
    lines = [
        json.dumps({"user_id": f"u{i}", "observed_at": (start + timedelta(seconds=i)).isoformat(), "outcome": word})
        for i, word in enumerate(words)
    ]
    cloud.lake.put(f"outcomes/dt={start.date()}/a.jsonl", "\n".join(lines).encode())
    assert train(cloud)["rows"] == 504
    joined = store.join_outcomes(cloud.lake, [start.date()])
    (week,) = watch.realised_quality(joined, meaning(cloud, first["version"]))[first["version"]].values()
    assert (week["events"], week["unknown"], week["positives"]) == (4, 2, 2)
