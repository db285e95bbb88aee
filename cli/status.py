"""`trefoil status`: on one screen, whether the last runs are good, which models answer, and what waits."""

import json
from datetime import UTC, datetime
from typing import Any

from cli.console import OUR_FAILURE, figures, numbers, say, table
from cli.stack import JOBS, TRAINED, Stack, connect
from infra.prices import GB_SECOND
from infra.settings import LEAVES, deployment
from layers.runtime.errors import CorruptError, NotFoundError
from layers.storage import health
from layers.storage.ledger import Run
from layers.storage.registry import Champion

QUALITY = ("precision", "recall", "average_precision")
QUEUES = ("ClassificationQueue", "ClassificationDeadLetters", "Undelivered")


def status() -> tuple[dict[str, Any], int]:
    """Show the last run of each job, champions, queues and alarms; exit 1 when something needs attention."""
    stack, now = connect(), datetime.now(UTC)
    champions = {leaf: stack.registry.champion(leaf) for leaf in TRAINED}
    models = [_champion(stack, leaf, champion) for leaf, champion in champions.items()]
    models.append(_last_model(stack))
    answer = health.operation(
        stack.ledger,
        stack.client("sqs"),
        stack.client("cloudwatch"),
        stage=stack.stage,
        jobs=JOBS,
        keyed={job for leaf in LEAVES.values() for job in leaf.keyed},
        queues={name: stack.outputs[name] for name in QUEUES},
        answers=champions["classification"] is not None,
        gb_second=GB_SECOND[deployment(stack.stage)[0].architecture],
        now=now,
        models=[f"{model['leaf']}: {model['problem']}" for model in models if model["problem"]],
    )
    _show_runs(answer["runs"], now)
    spent = {name: sum(answer[name].values()) for name in ("yesterday", "dollars")}
    say(f"yesterday's runs: {spent['yesterday']:.3g} GB-s, ${spent['dollars']:.4f}")
    _show_models(models, now)
    queues = "  ".join(f"{name} {depth}" for name, depth in answer["queues"].items())
    say(f"{queues}  alarms {', '.join(answer['alarms']) or 'none'}")
    say("\n".join(f"attention: {text}" for text in answer["attention"]) or "healthy")
    return answer | {"champions": champions, "models": models}, OUR_FAILURE if answer["attention"] else 0


def _champion(stack: Stack, leaf: str, champion: Champion | None) -> dict[str, Any]:
    """A leaf's champion and its figures on the holdout; a leaf that was never trained has none, which is no fault."""
    model = _model(stack, leaf, champion.version if champion else None, champion.since if champion else None)
    return model | _watched(stack, model) if champion and leaf == "classification" else model


def _last_model(stack: Stack) -> dict[str, Any]:
    """Clustering has no champion: each run fits a model, which its day names, and which nobody needs afterwards."""
    done = [run for run in stack.ledger.history("clustering") if run.outcome == "done"]
    if not done:
        return _model(stack, "clustering", None, None)
    last = max(done, key=lambda run: run.started_at)
    try:
        version = json.loads(stack.lake.get(f"anomalies/days/dt={last.key}/manifest.json"))["model_version"]
    except NotFoundError:
        return _model(stack, "clustering", None, None) | {"problem": f"the manifest of {last.key} is gone"}
    return _model(stack, "clustering", version, last.started_at) | {"problem": ""}


def _model(stack: Stack, leaf: str, version: str | None, since: datetime | None) -> dict[str, Any]:
    model: dict[str, Any] = {"leaf": leaf, "version": version, "since": since, "figures": {}, "problem": ""}
    try:
        return model | {"figures": dict(numbers(stack.registry.manifest(leaf, version).metrics))} if version else model
    except (NotFoundError, CorruptError) as exc:
        return model | {"problem": str(exc)}


def _watched(stack: Stack, model: dict[str, Any]) -> dict[str, Any]:
    """What the watch's last report says of this version: the largest stability index, the quality to expect from the
    probabilities or why none is, and what outcomes of the newest week came to. Reports of before expect nothing."""
    try:
        report = json.loads(stack.lake.get("scored/reports/watch.json"))
    except NotFoundError:
        report = {}
    version = model["version"]
    report = report if report.get("version") == version else {"events": 0}
    weeks = report.get("realised", {}).get(version, {})
    return {
        "figures": model["figures"] | ({"drift": max(report["drift"].values())} if report["events"] else {}),
        "expected": report.get("expected"),
        "expected_withdrawn": report.get("expected_withdrawn"),
        "realised": {"week": max(weeks), **weeks[max(weeks)]} if weeks else None,
    }


def _show_runs(last: dict[str, Run | None], now: datetime) -> None:
    shown = table("last run of", "ago", "outcome", "s", "GB-s", "what")
    for job, run in last.items():
        if run is None:
            shown.add_row(job, "", "never", "", "", "")
            continue
        seconds = f"{((run.finished_at or now) - run.started_at).total_seconds():.1f}"
        what = f"{run.short_key}: {figures(run.counts)}"
        shown.add_row(job, _age(run.started_at, now), run.outcome, seconds, f"{run.gb_seconds:.3g}", what)
    say(shown)


def _show_models(models: list[dict[str, Any]], now: datetime) -> None:
    shown = table("model of", "since", "version", "figures")
    for model in models:
        since = _age(model["since"], now) if model["since"] else ""
        shown.add_row(model["leaf"], since, model["version"] or "none yet", figures(model["figures"]))
    say(shown)
    for model in models:
        if "expected" in model:
            _show_quality(model)


def _show_quality(model: dict[str, Any]) -> None:
    """Expected quality beside the realised one, where there is either."""
    expected, realised = (
        figures({name: one[name] for name in QUALITY}) if (one := model[kind]) else ""
        for kind in ("expected", "realised")
    )
    if withdrawn := model["expected_withdrawn"]:
        expected = f"nothing, {withdrawn}"
    if expected:
        say(f"expected of {model['leaf']}: {expected}")
    if realised:
        say(f"realised in {model['realised']['week']}: {realised}, on {model['realised']['events']:,} outcomes")


def _age(since: datetime, now: datetime) -> str:
    minutes = int((now - since).total_seconds() // 60)
    if minutes < 120:
        return f"{max(minutes, 0)} min"
    return f"{minutes // 60} h" if minutes < 48 * 60 else f"{minutes // (24 * 60)} days"
