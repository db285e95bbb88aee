"""`trefoil redrive`, and how much waits in a queue."""

import time
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Annotated, Any, Final, NamedTuple

import typer

from cli.console import say
from cli.stack import Stack, Yes, change
from layers.storage.health import waiting

SENDERS: Final = 8
SILENT: Final = "failed five times"


def classification(
    reason: Annotated[str, typer.Option(help="only those whose reason contains this")] = "",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="show them and send nothing")] = False,
    yes: Yes = False,
) -> dict[str, Any]:
    """Move dead letters back to the queue, each deleted only after it was sent, and count them by reason.

    Those that are sent while this runs stay: they may be the same ones, which failed once more.
    """
    stack = change("counting dead letters" if dry_run else "redriving", yes=yes or dry_run)
    queue, counts, started = stack.outputs["ClassificationQueue"], Counter[str](), 1_000 * time.time()

    def sent(letter: Letter) -> bool:
        if reason not in letter.reason or letter.sent > started:  # it failed once more meanwhile
            return False
        counts[letter.reason] += 1
        if not dry_run:
            stack.client("sqs").send_message(QueueUrl=queue, MessageBody=letter.body)
        return not dry_run

    sift(stack, sent)
    for why, count in counts.items():
        say(f"{count:6}  {why}")
    number = 0 if dry_run else counts.total()
    say(f"{number} sent again")
    return {"reasons": dict(counts), "sent": number}


class Letter(NamedTuple):
    """A message that could not be classified, why, and when it was sent, in ms since 1970."""

    body: str
    reason: str
    sent: int


def sift(stack: Stack, done: Callable[[Letter], bool]) -> None:
    """Show each dead letter once to `done`, and delete it where that says so; the others are visible again then."""
    sqs, url = stack.client("sqs"), stack.outputs["ClassificationDeadLetters"]
    kept: dict[str, str] = {}  # the receipt of each that stays, by message
    repeated = 0
    # What was seen comes again after five minutes; once all of it has, there is nothing new.
    request = {"QueueUrl": url, "MaxNumberOfMessages": 10, "VisibilityTimeout": 300, "WaitTimeSeconds": 1}
    request |= {"MessageAttributeNames": ["reason"], "MessageSystemAttributeNames": ["SentTimestamp"]}
    try:
        while repeated <= len(kept) and (batch := sqs.receive_message(**request).get("Messages")):
            for message in batch:
                identity, receipt = message["MessageId"], message["ReceiptHandle"]
                why = message.get("MessageAttributes", {}).get("reason", {}).get("StringValue", SILENT)
                repeated += identity in kept
                letter = Letter(message["Body"], why, int(message["Attributes"]["SentTimestamp"]))
                if identity not in kept and done(letter):
                    sqs.delete_message(QueueUrl=url, ReceiptHandle=receipt)
                else:
                    kept[identity] = receipt
    finally:
        for receipt in kept.values():
            sqs.change_message_visibility(QueueUrl=url, ReceiptHandle=receipt, VisibilityTimeout=0)


def send(stack: Stack, bodies: Sequence[str]) -> None:
    """Send events to be classified, several at a time."""
    sqs, queue = stack.client("sqs"), stack.outputs["ClassificationQueue"]
    with ThreadPoolExecutor(SENDERS) as pool:
        list(pool.map(lambda body: sqs.send_message(QueueUrl=queue, MessageBody=body), bodies))


def queue_depth(stack: Stack, name: str) -> int:
    """What waits in a queue, named by its output."""
    return waiting(stack.client("sqs"), stack.outputs[name])
