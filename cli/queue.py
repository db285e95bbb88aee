"""`trefoil redrive`, and how much waits in a queue."""

from collections.abc import Sequence
from typing import Annotated, Any

import typer

from cli.console import say
from cli.stack import Stack, Yes, change
from layers.storage.health import waiting


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
        while sum(counts.values()) < limit and repeated <= len(kept) and (batch := receive(stack, letters)):
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


def send(stack: Stack, bodies: Sequence[str]) -> None:
    """Send events to be classified, ten at a time."""
    for first in range(0, len(bodies), 10):
        entries = [{"Id": str(i), "MessageBody": body} for i, body in enumerate(bodies[first : first + 10])]
        stack.client("sqs").send_message_batch(QueueUrl=stack.outputs["ClassificationQueue"], Entries=entries)


def receive(stack: Stack, queue: str) -> list[dict[str, Any]]:
    """Some messages of a queue, hidden for five minutes so that one pass sees each once."""
    answer = stack.client("sqs").receive_message(
        QueueUrl=queue,
        MaxNumberOfMessages=10,
        VisibilityTimeout=300,
        MessageAttributeNames=["reason"],
        WaitTimeSeconds=1,
    )
    return list(answer.get("Messages", []))


def queue_depth(stack: Stack, name: str) -> int:
    """What waits in a queue, named by its output."""
    return waiting(stack.client("sqs"), stack.outputs[name])
