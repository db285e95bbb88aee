"""What of the runs, queues and alarms of a stack needs attention, for `trefoil status` and the console."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Final

from layers.storage.ledger import Run, RunLedger

HINTS: Final = {
    "ClassificationDeadLetters": "`trefoil redrive classification --dry-run` counts them by reason",
    "Undelivered": "a trigger failed after its retries; the message says which",
}


def operation(
    ledger: RunLedger,
    sqs: Any,
    cloudwatch: Any,
    *,
    stage: str,
    jobs: Iterable[str],
    keyed: Collection[str],
    queues: Mapping[str, str],
    answers: bool,
    gb_second: float,
    now: datetime,
    models: Iterable[str] = (),
) -> dict[str, Any]:
    """The last run of each job, what waits in `queues` (addresses by name), the stage's alarms that ring, what the runs
    that began yesterday (UTC) took by job, in GB-seconds and in dollars, and what needs attention, in words.

    `jobs` and `keyed` as `LeafDescription` has them; `answers`: whether a classifier does; `models`: what is wrong with
    any.
    """
    runs = {job: sorted(ledger.history(job), key=lambda run: run.started_at) for job in jobs}
    waits = {name: waiting(sqs, url) for name, url in queues.items()}
    pages = cloudwatch.get_paginator("describe_alarms").paginate(StateValue="ALARM")
    names = [alarm["AlarmName"] for page in pages for alarm in page["MetricAlarms"]]
    alarms = [name for name in names if name.startswith(f"trefoil-{stage}-")]
    wrong = [
        *_of_runs(runs, keyed, now),
        *models,
        *_of_queues(waits, answers=answers),
        *(f"alarm {name}: docs/operate.md says what to do" for name in alarms),
    ]
    day = (now - timedelta(days=1)).date()
    spent = {job: sum(run.gb_seconds for run in of if run.started_at.date() == day) for job, of in runs.items()}
    return {
        "healthy": not wrong,
        "attention": wrong,
        "runs": {job: of[-1] if of else None for job, of in runs.items()},
        "queues": waits,
        "alarms": alarms,
        "yesterday": {job: round(gb_seconds, 3) for job, gb_seconds in spent.items()},
        "dollars": {job: gb_seconds * gb_second for job, gb_seconds in spent.items()},
    }


def _of_runs(runs: Mapping[str, Sequence[Run]], keyed: Collection[str], now: datetime) -> list[str]:
    """One that never ran is nothing wrong: there may have been nothing to do yet."""
    last = [of[-1] for of in runs.values() if of]
    wrong = [f"{run.job} {run.short_key}: {run.detail or 'failed'}" for run in last if run.outcome == "failed"]
    wrong += [
        f"clustering {run.key}: no ride was labelled ({run.detail}); what was published before stays"
        for run in last
        if run.job == "clustering" and run.outcome == "empty"
    ]
    # Keys of the other jobs never come again: there only the last run tells anything.
    open_runs = [run for job, of in runs.items() for run in (of if job in keyed else of[-1:])]
    wrong += [
        f"{run.job} {run.short_key}: left running since {run.started_at:%Y-%m-%d %H:%M}, past its lease; start it again"
        for run in open_runs
        if run.outcome == "running" and run.lease_until < now
    ]
    return wrong


def _of_queues(queues: Mapping[str, int], *, answers: bool) -> list[str]:
    wrong = [f"{queues[name]} messages in {name}: {hint}" for name, hint in HINTS.items() if queues.get(name)]
    if queues.get("ClassificationQueue") and not answers:
        wrong.append("messages wait and no model answers: `trefoil train classification` makes the first")
    return wrong


def waiting(sqs: Any, url: str) -> int:
    """Messages that wait in a queue, also for a first model, or are being worked on."""
    wanted = [f"ApproximateNumberOfMessages{kind}" for kind in ("", "NotVisible", "Delayed")]
    answer = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=wanted)
    return sum(int(answer["Attributes"][attribute]) for attribute in wanted)
