"""Messages, and the model that they need."""

import json
import random
import time
from datetime import datetime, timedelta
from typing import Any, Final

from cli.queue import SILENT, Letter, queue_depth, send
from cli.smoke.trial import (
    CUSTOMERS,
    NAME,
    PATIENCE,
    USERS,
    Check,
    NotProvenError,
    Trial,
    first_day,
    require,
    take_letters,
)
from cli.stack import wait
from layers.runtime.errors import UnavailableError

LABELLED, EVENTS, TWICE = 4_000, 270, 20
LEAF: Final = "classification"


def training(trial: Trial) -> str:
    """The champion; where none answers, nor anything of the stage's own waits for one, the test trains its own."""
    from functions.classification.simulate import customers

    stack = trial.stack
    if champion := stack.registry.champion(LEAF):
        return f"not trained: {champion.version} answers"
    if any(stack.lake.list("customers/")) or queue_depth(stack, "ClassificationQueue"):
        raise NotProvenError(
            "customers or messages of your own wait: `trefoil train classification`, then this again", "not run"
        )
    settings = stack.variables("FunctionClassificationTrain")
    table = customers(LABELLED, 0).drop_columns(["duration"])
    if positive := settings.get("TREFOIL_POSITIVE"):
        words = [positive if word == "yes" else f"no {positive}" for word in table["y"].to_pylist()]
        table = table.set_column(table.column_names.index("y"), "y", [words])
    table = table.rename_columns({"y": settings.get("TREFOIL_TARGET") or "y"})
    stack.put_table(CUSTOMERS, trial.table("FunctionClassificationTrain", table))
    began = time.monotonic()
    answer = stack.invoke("FunctionClassificationTrain", {"reason": NAME})
    require(answer.get("promoted", False), f"{answer['status']}: {answer.get('reason')}")
    return f"{answer['rows']:,} rows, {time.monotonic() - began:.0f} s, removed at the end"


def watch(trial: Trial) -> str:
    """Before the test's messages are counted, so that they never start a training."""
    report = trial.stack.invoke("FunctionClassificationWatch", {})
    if report["version"] is None:
        raise NotProvenError(report["reason"], "not run")
    return f"{report['version']}: {report['events']:,} events, {report['reason'] or 'no drift'}"


def messages(trial: Trial) -> str:
    """Events of a hundred and fifty users, some twice, with poison between; one result each, the newest."""
    stack = trial.stack
    champion = stack.registry.champion(LEAF)
    if champion is None:
        raise NotProvenError("no model answers: `trefoil train classification` makes one, then this again", "not run")
    manifest = stack.registry.manifest(LEAF, champion.version)
    good = _events(manifest.details, first_day(stack), trial.planted)
    poison = _poison(trial.planted)
    draw, began = random.Random(0), time.monotonic()  # noqa: S311 - an order, no secret
    bodies = [*map(json.dumps, good), *map(json.dumps, good[:TWICE]), *poison]
    draw.shuffle(bodies)
    send(stack, bodies)
    missing = {event["user_id"]: event["event_id"] for event in good}  # the last one is the newest
    results, letters = stack.table("Classifications"), list[Letter]()

    def complete() -> bool:
        for user in list(missing):
            row = results.get({"user_id": user})
            if row and row["event_id"] == missing[user]:
                del missing[user]
        if not missing:
            letters.extend(take_letters(stack))
        return not missing and len(letters) >= len(poison)

    def figure() -> str:
        return f"{len(USERS) - len(missing)} of {len(USERS)} results, {len(letters)} of {len(poison)} dead letters"

    try:
        wait(complete, "results", PATIENCE)
    except UnavailableError as exc:
        raise NotProvenError(f"{figure()} after {PATIENCE:.0f} s") from exc
    require(SILENT not in {letter.reason for letter in letters}, "a dead letter has no reason")
    if champion.reason.startswith(NAME):  # with the model gone, what comes late would wait for another
        wait(lambda: queue_depth(stack, "ClassificationQueue") == 0, "the queue to be empty", PATIENCE)
    return f"{len(bodies)} messages, {figure()}, {time.monotonic() - began:.0f} s"


def _events(details: dict[str, Any], dt: str, planted: str) -> list[dict[str, Any]]:
    """Events whose features are such as the model knows, oldest first."""
    from functions.classification.contracts import Specification

    specification, draw = Specification.model_validate(details), random.Random(0)  # noqa: S311 - no secret
    choices: dict[str, list[Any]] = {}
    for one, known in zip(specification.features, specification.references, strict=True):
        words: dict[str, list[Any]] = {
            "category": [word for word in one.categories if word] or [NAME],
            "boolean": [False, True],
        }
        choices[one.name] = words.get(one.kind, list(known.edges) or [0.0])
    begin = datetime.fromisoformat(f"{dt}T00:00:00+00:00")
    return [
        {
            "event_id": f"{NAME}-{i:03}",
            "user_id": USERS[i % len(USERS)],
            "observed_at": (begin + timedelta(seconds=i)).isoformat(),
            "features": {name: draw.choice(words) for name, words in choices.items()} | {f"{NAME}-note": planted},
        }
        for i in range(EVENTS)
    ]


def _poison(planted: str) -> list[str]:
    """Messages that can never succeed."""
    event = {"event_id": planted, "user_id": USERS[0], "observed_at": "yesterday", "features": {}}
    later: dict[str, Any] = {"observed_at": "2199-01-01T00:00:00Z"}
    wrong = [later, {"user_id": 1}, {"features": [planted]}, {"event_id": ""}, {}]
    bodies = [json.dumps(event | change) for change in wrong]
    return [*bodies, planted, f'"{planted}"', f'["{planted}"]', f'{{"user_id": "{planted}"', json.dumps({planted: 1})]


MESSAGES: Final = (
    Check("a classifier", training, "trefoil logs classification-train"),
    Check("the drift watch", watch, "trefoil logs classification-watch"),
    Check("messages", messages, "trefoil logs classification-score; trefoil redrive classification --dry-run"),
)
