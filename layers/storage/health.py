"""What of the runs, queues and alarms of a stack needs attention, for `trefoil status` and the console."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import date, datetime
from typing import Any, Final

from layers.storage.ledger import Run, RunLedger

History = Mapping[str, Sequence[Run]]

HINTS: Final = {
    "ClassificationDeadLetters": "`trefoil redrive classification --dry-run` counts them by reason",
    "Undelivered": "a trigger failed after its retries; the message says which",
}


def history(ledger: RunLedger, jobs: Iterable[str]) -> dict[str, list[Run]]:
    """Runs of each job in the order in which they began."""
    return {job: sorted(ledger.history(job), key=lambda run: run.started_at) for job in jobs}


def last_runs(runs: History) -> dict[str, Run | None]:
    """The last run of each job."""
    return {job: of[-1] if of else None for job, of in runs.items()}


def gb_seconds(runs: History, day: date) -> dict[str, float]:
    """What the runs that began on a day in UTC took, by job."""
    return {
        job: round(sum(run.gb_seconds for run in of if run.started_at.date() == day), 3) for job, of in runs.items()
    }


def attention(
    runs: History,
    queues: Mapping[str, int],
    alarms: Iterable[str],
    *,
    keyed: Collection[str],
    answers: bool,
    now: datetime,
    models: Iterable[str] = (),
) -> list[str]:
    """What is wrong, in words: of runs (see `LeafDescription` for `keyed`), `models`, queues and alarms.

    `answers`: whether a classifier does.
    """
    return [
        *_of_runs(runs, keyed, now),
        *models,
        *_of_queues(queues, answers=answers),
        *(f"alarm {name}: docs/operate.md says what to do" for name in alarms),
    ]


def _of_runs(runs: History, keyed: Collection[str], now: datetime) -> list[str]:
    """One that never ran is nothing wrong: there may have been nothing to do yet."""
    last = last_runs(runs)
    wrong = [f"{job} {r.short_key}: {r.detail or 'failed'}" for job, r in last.items() if r and r.outcome == "failed"]
    if (day := last.get("clustering")) and day.outcome == "empty":
        wrong.append(f"clustering {day.key}: no ride was labelled ({day.detail}); what was published before stays")
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


def ringing(cloudwatch: Any, stage: str) -> list[str]:
    """Names of the stage's alarms that are in alarm."""
    pages = cloudwatch.get_paginator("describe_alarms").paginate(StateValue="ALARM")
    names = [alarm["AlarmName"] for page in pages for alarm in page["MetricAlarms"]]
    return [name for name in names if name.startswith(f"trefoil-{stage}-")]
