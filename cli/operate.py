"""`trefoil train|runs|redrive`: what a person does to a deployed stack."""

from datetime import UTC, datetime
from itertools import chain
from typing import Annotated, Any

import typer

from cli.cloud import key_of
from cli.console import figures, say, table
from cli.leaves import JOBS, TRAINED, trained_name
from cli.stack import Stack, Yes, change, connect, finished, start
from infra.settings import LEAVES
from layers.runtime.errors import InputError
from layers.storage.ledger import Run


def train(
    leaf: Annotated[str, typer.Argument(help=", ".join(TRAINED), parser=trained_name)],
    force: Annotated[bool, typer.Option("--force", help="forecasting: refit series that did not change, too")] = False,
) -> dict[str, Any]:
    """Start training as the schedule would, and wait for it."""
    stack = change(f"training {leaf}")
    if (trainer := LEAVES[leaf].trainer).startswith("Function"):
        answer = stack.invoke(trainer, {"reason": "by hand"})
    else:
        answer = finished(stack, start(stack, trainer, {"force": force}))
    say(f"{leaf}: {answer['status']}")
    if answer["status"] == "skipped":
        history = chain.from_iterable(stack.ledger.history(job) for job in LEAVES[leaf].jobs)
        say_skipped(next((run for run in history if run.run_id == answer["run_id"]), None))
    for name, value in answer.items():
        if name != "status" and not isinstance(value, dict):
            say(f"  {name:<20}{value}")
    for name, why in answer.get("left_out", {}).items():
        say(f"  {'left out':<20}{name} ({why})")
    return {"leaf": leaf, **answer}


def runs(
    job: Annotated[str | None, typer.Argument(help="one job; all of them when left out")] = None,
    last: Annotated[int, typer.Option(min=1, help="how many of each job")] = 10,
) -> dict[str, Any]:
    """Show the run ledger: what ran on which input, and so why a trigger was skipped."""
    if job is not None and job not in JOBS:
        raise InputError(f"no job {job!r}; there are {', '.join(JOBS)}")
    stack = connect()
    now, found = datetime.now(UTC), []
    shown = table(*(("key", "input", "same again") if job else ("job", "key")), "outcome", "started", "what")
    for name in [job] if job else JOBS:
        history = sorted(stack.ledger.history(name), key=lambda run: run.started_at, reverse=True)[:last]
        for run in history:
            first = (key_of(run), run.fingerprint[:8], again(run, now)) if job else (name, key_of(run))
            what = " ".join(filter(None, [figures(run.counts), run.detail]))
            shown.add_row(*first, run.outcome, f"{run.started_at:%Y-%m-%d %H:%M}", what)
            found.append(run.model_dump(mode="json") | {"same_again": again(run, now)})
    say(shown)
    if job:
        say(f"A trigger that finds its input done is skipped; to run again {job} needs {JOBS[job]}.")
    return {"runs": found}


def again(run: Run, now: datetime) -> str:
    """What a trigger with the same input as `run` does, as the ledger decides it."""
    if run.outcome == "running" and run.lease_until >= now:
        return f"waits for it until {run.lease_until:%H:%M}"
    done = run.outcome in ("done", "empty") and "forced" not in run.fingerprint
    return "skipped" if done else "runs"


def say_skipped(run: Run | None) -> None:
    """Which run a trigger was skipped for, and what would not be skipped."""
    if run:
        done = f"is {run.outcome} since" if run.outcome != "running" else "is at it since"
        say(f"  {run.run_id} {done} {run.finished_at or run.started_at:%Y-%m-%d %H:%M}, input {run.fingerprint[:8]}")
        say(f"  to run again needs {JOBS[run.job]}")


def classification(
    limit: Annotated[int, typer.Option(min=1, help="how many at most")] = 100_000,
    reason: Annotated[str, typer.Option(help="only those whose reason contains this")] = "",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="show them and send nothing")] = False,
    yes: Yes = False,
) -> dict[str, Any]:
    """Move dead letters back to the queue, each deleted only after it was sent, and count them by reason."""
    stack = change("counting dead letters" if dry_run else "redriving", yes=yes or dry_run)
    sqs, letters = stack.client("sqs"), stack.outputs["ClassificationDeadLetters"]
    counts: dict[str, int] = {}
    kept: dict[str, str] = {}  # of those that stay, the receipt by message
    sent = repeated = 0
    try:
        # What was seen comes again after five minutes; once all of it has, there is nothing new.
        while sum(counts.values()) < limit and repeated <= len(kept) and (batch := _receive(stack, letters)):
            again = kept.keys() & {message["MessageId"] for message in batch}
            kept |= {m["MessageId"]: m["ReceiptHandle"] for m in batch if m["MessageId"] in again}
            repeated += len(again)
            for message in (m for m in batch if m["MessageId"] not in again):
                why = message.get("MessageAttributes", {}).get("reason", {}).get("StringValue", "failed five times")
                wanted = reason in why and sum(counts.values()) < limit
                if wanted:
                    counts[why] = counts.get(why, 0) + 1
                if wanted and not dry_run:
                    sqs.send_message(QueueUrl=stack.outputs["ClassificationQueue"], MessageBody=message["Body"])
                    sqs.delete_message(QueueUrl=letters, ReceiptHandle=message["ReceiptHandle"])
                    sent += 1
                else:
                    kept[message["MessageId"]] = message["ReceiptHandle"]
    finally:
        for receipt in kept.values():
            sqs.change_message_visibility(QueueUrl=letters, ReceiptHandle=receipt, VisibilityTimeout=0)
    for why, count in counts.items():
        say(f"{count:6}  {why}")
    say(f"{sent} sent again")
    return {"reasons": counts, "sent": sent}


def _receive(stack: Stack, queue: str) -> list[dict[str, Any]]:
    """Some messages, hidden for five minutes so that one pass sees each once."""
    answer = stack.client("sqs").receive_message(
        QueueUrl=queue,
        MaxNumberOfMessages=10,
        VisibilityTimeout=300,
        MessageAttributeNames=["reason"],
        WaitTimeSeconds=1,
    )
    return list(answer.get("Messages", []))
