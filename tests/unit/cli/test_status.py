"""`trefoil status`: what is unhealthy, and what is only told."""

import json
import re
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from cli import status
from layers.storage.ledger import RunLedger
from tests.unit.cli.stack import NOW, fake_stack

HOUR = timedelta(hours=1)


def run(
    stack: Any, job: str, outcome: str, *, ago: timedelta = HOUR, key: str = "2026-01-31", detail: str = ""
) -> None:
    past = RunLedger(stack.runs, lambda: NOW - ago)
    made = past.claim(job, key, fingerprint=key, lease=timedelta(minutes=30)).run
    if outcome != "running":
        past.finish(made, outcome, counts={"rides": 4_000, "rejected": 2}, gb_seconds=1.5, detail=detail)  # type: ignore[arg-type]


def champion(stack: Any, leaf: str, metrics: dict[str, float] | None = None) -> None:
    stack.registry.publish(leaf, "v1", {"m": b"1"}, data_hash="d", metrics=metrics or {})
    stack.registry.promote(leaf, "v1", expected=None, reason="test")


def message(stack: Any, queue: str) -> None:
    stack.client("sqs").send_message(QueueUrl=queue, MessageBody="{}")


def good_day(stack: Any) -> None:
    champion(stack, "forecasting", {"series": 3, "mean_skill": 0.125})
    champion(stack, "classification", {"roc_auc": 0.75})
    stack.registry.publish("clustering", "nightly", {"m": b"1"}, data_hash="d", metrics={"eps": 0.3})
    run(stack, "clustering", "done")
    stack.lake.put("anomalies/days/dt=2026-01-31/manifest.json", b'{"model_version": "nightly"}')
    report = {"version": "v1", "events": 5, "drift": {"(score)": 0.02, "age": 0.0421}}
    stack.lake.put("scored/reports/watch.json", json.dumps(report).encode())


def unreadable(stack: Any) -> None:
    champion(stack, "forecasting")
    stack.models.delete("forecasting/v1/manifest.json")


@pytest.fixture
def stack(monkeypatch: pytest.MonkeyPatch) -> Any:
    made = fake_stack()
    monkeypatch.setattr(status, "connect", lambda *_: made)
    return made


@pytest.mark.parametrize(
    ("happens", "told"),
    [
        (lambda s: None, ""),
        (good_day, ""),
        (lambda s: run(s, "clustering", "running", ago=timedelta(minutes=5)), ""),
        (lambda s: run(s, "forecasting", "done", ago=90 * 24 * HOUR), ""),
        (lambda s: message(s, "ClassificationQueue") or champion(s, "classification"), ""),
        (lambda s: s.client("cloudwatch").ringing.append("trefoil-other-drift"), ""),
        (lambda s: run(s, "clustering", "failed", detail="States.Timeout"), "clustering 2026-01-31: States.Timeout"),
        (
            lambda s: run(s, "clustering", "empty", detail="no valid ride: rejected.parquet says why"),
            "clustering 2026-01-31: no ride was labelled (no valid ride: rejected.parquet says why); what",
        ),
        (lambda s: run(s, "clustering", "idle"), ""),
        (lambda s: run(s, "clustering", "running"), "left running"),
        (lambda s: run(s, "classification-train", "running"), "left running"),
        (lambda s: [run(s, "classification-train", kind, key=kind) for kind in ("running", "done")], ""),
        (
            lambda s: message(s, "ClassificationDeadLetters"),
            "1 messages in ClassificationDeadLetters: `trefoil redrive",
        ),
        (lambda s: message(s, "Undelivered"), "1 messages in Undelivered"),
        (lambda s: message(s, "ClassificationQueue"), "no model answers"),
        (lambda s: s.client("cloudwatch").ringing.append("trefoil-dev-drift"), "alarm trefoil-dev-drift"),
        (unreadable, "forecasting/v1/manifest.json does not exist"),
    ],
)
def test_it_is_healthy_or_says_what_is_not(
    stack: Any, capsys: pytest.CaptureFixture[str], happens: Callable[[Any], Any], told: str
) -> None:
    happens(stack)
    body, code = status.status()
    said = " ".join(capsys.readouterr().out.split())
    assert (body["healthy"], code) == (not told, int(bool(told)))
    assert told in said
    assert ("attention:" in said) == bool(told)
    assert len(body["attention"]) == bool(told)


EXPECTED = {"positives": 61.0, "precision": 0.41, "recall": 0.55, "average_precision": 0.37}
REALISED = {"2026-W04": {"events": 900, "precision": 0.1, "recall": 0.1, "average_precision": 0.1}}
REALISED |= {"2026-W05": {"events": 1_234, "precision": 0.39, "recall": 0.5, "average_precision": 0.33}}


@pytest.mark.parametrize(
    ("more", "told"),
    [
        ({}, []),
        ({"expected": None, "expected_withdrawn": None, "realised": {}}, []),
        (
            {"expected": EXPECTED, "expected_withdrawn": None, "realised": {"v0": {}, "v1": REALISED}},
            [
                "expected of classification: precision 0.41, recall 0.55, average_precision 0.37",
                "realised in 2026-W05: precision 0.39, recall 0.5, average_precision 0.33, on 1,234 outcomes",
            ],
        ),
        (
            {"expected": None, "expected_withdrawn": "the population has moved", "realised": {"v1": REALISED}},
            ["expected of classification: nothing, the population has moved", "realised in 2026-W05: precision 0.39"],
        ),
    ],
)
def test_expected_quality_stands_beside_the_realised_one_and_an_older_report_of_the_watch_tells_neither(
    stack: Any, capsys: pytest.CaptureFixture[str], more: dict[str, Any], told: list[str]
) -> None:
    good_day(stack)
    report = {"version": "v1", "events": 5, "drift": {"(score)": 0.02, "age": 0.0421}}
    stack.lake.put("scored/reports/watch.json", json.dumps(report | more).encode())
    body, _ = status.status()
    said = " ".join(capsys.readouterr().out.split())
    assert all(line in said for line in told)
    assert told or "expected of" not in said
    (model,) = [model for model in body["models"] if model["leaf"] == "classification"]
    assert model["expected"] == more.get("expected")
    assert model["expected_withdrawn"] == more.get("expected_withdrawn")
    assert (model["realised"] or {}).get("week") == ("2026-W05" if more.get("realised") else None)


@pytest.mark.parametrize("width", [80, 100])
def test_one_screen_tells_runs_models_drift_and_queues(
    stack: Any, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, width: int
) -> None:
    monkeypatch.setenv("COLUMNS", str(width))
    good_day(stack)
    status.status()
    said = capsys.readouterr().out
    assert max(map(len, said.splitlines())) <= width
    assert len(said.splitlines()) <= 30
    flat = " ".join(said.split())
    assert re.search(r"clustering \d+ min done", flat)
    assert re.search(r"clustering \d+ min nightly", flat)
    for text in (
        "rides 4,000",
        "1.5",
        "roc_auc 0.75",
        "drift 0.0421",
        "mean_skill 0.125",
        "healthy",
    ):
        assert text in flat
