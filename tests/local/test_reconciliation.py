"""The daily check on the deployed functions. The emulator counts no messages: its metric is put there by hand."""

import time
from datetime import UTC, datetime, timedelta

import pytest

from cli import status
from cli.stack import Stack
from functions.classification.adapters import CloudWatchQueue
from functions.classification.reconciliation import JOB, Reconciliation
from functions.classification.service import MESSAGES
from functions.classification.simulate import customers, events
from tests.local.test_classification import POISON, send, train

NOON = datetime.now(UTC).replace(hour=12, minute=0, second=0, microsecond=0)
DAY = timedelta(days=1)


def queue_name(stack: Stack) -> str:
    return stack.outputs["ClassificationQueue"].rsplit("/", 1)[-1]


def tell(stack: Stack, moment: datetime, messages: int) -> None:
    point = {
        "MetricName": "NumberOfMessagesSent",
        "Dimensions": [{"Name": "QueueName", "Value": queue_name(stack)}],
        "Timestamp": moment,
        "Value": messages,
    }
    stack.client("cloudwatch").put_metric_data(Namespace="AWS/SQS", MetricData=[point])


def ended(stack: Stack) -> int:
    row = stack.table("Profiles").get({"model": MESSAGES, "bucket": str(NOON.date())})
    return int(row["ended"]) if row else 0


def test_messages_that_go_through_the_queue_add_up_to_the_queues_own_count(stack: Stack) -> None:
    if stack.registry.champion("classification") is None:
        train(stack)
    before, bodies = ended(stack), [*events(customers(15, 9), seed=9), *POISON]
    send(stack, bodies + bodies[:2])
    end = time.monotonic() + 120
    while ended(stack) < before + len(bodies) + 2 and time.monotonic() < end:
        time.sleep(0.5)
    tell(stack, NOON, ended(stack))
    assert ended(stack) == before + len(bodies) + 2
    queue = CloudWatchQueue(queue_name(stack), stack.client("cloudwatch"))
    Reconciliation(queue, stack.table("Profiles"), stack.ledger, lambda: NOON + DAY).check()
    run = stack.ledger.get(JOB, str(NOON.date()))
    assert run is not None
    assert (run.outcome, run.counts) == ("done", {"sent": ended(stack), "ended": ended(stack)})


def test_a_message_without_an_end_makes_the_status_unhealthy_until_it_is_found(
    stack: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(status, "connect", lambda *_: stack)
    closed = NOON - DAY if datetime.now(UTC).hour >= 6 else NOON - 2 * DAY
    stack.table("Runs").delete({"job": JOB, "key": str(closed.date())})  # whatever called the watch before
    tell(stack, closed, 3)
    stack.invoke("FunctionClassificationWatch", {})
    body, code = status.status()
    assert code == 1
    assert f"{JOB} {closed.date()}: 3 messages without an end" in body["attention"]
    tell(stack, closed, -3)
    stack.invoke("FunctionClassificationWatch", {})
    body, _ = status.status()
    assert not [text for text in body["attention"] if JOB in text]
