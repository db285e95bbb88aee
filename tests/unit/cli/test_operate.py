"""`trefoil runs` explains what the ledger decides, and `trefoil redrive` loses nothing."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from cli import queue, runs
from layers.runtime.errors import InputError
from layers.storage.ledger import Outcome, RunLedger
from tests.fakes import InMemoryTable
from tests.unit.cli.stack import fake_stack

LEASE = timedelta(minutes=10)
LETTERS, QUEUE = "ClassificationDeadLetters", "ClassificationQueue"


@pytest.fixture
def stack(monkeypatch: pytest.MonkeyPatch) -> Any:
    made = fake_stack()
    monkeypatch.setattr(runs, "connect", lambda *_: made)
    for module in (queue, runs):
        monkeypatch.setattr(module, "change", lambda *_, **__: made)
    return made


@pytest.mark.parametrize("outcome", ["running", "done", "empty", "failed"])
@pytest.mark.parametrize("later", [timedelta(0), LEASE + timedelta(seconds=1)])
def test_what_the_same_input_does_is_what_the_ledger_decides(outcome: Outcome, later: timedelta) -> None:
    clock = [datetime(2026, 1, 1, tzinfo=UTC)]
    ledger = RunLedger(InMemoryTable("job", "key"), lambda: clock[0])
    run = ledger.claim("clustering", "day", fingerprint="f", lease=LEASE).run
    if outcome != "running":
        run = ledger.finish(run, outcome)
    clock[0] += later
    told = runs.again(run, clock[0])
    assert (told == "runs") == ledger.claim("clustering", "day", fingerprint="f", lease=LEASE).granted


def test_a_skip_is_explained(stack: Any, capsys: pytest.CaptureFixture[str]) -> None:
    run = stack.ledger.claim("clustering", "2026-01-31", fingerprint="abcdef0123456789", lease=LEASE).run
    stack.ledger.finish(run, "done", counts={"rides": 4_000})
    told = runs.runs("clustering")["runs"]
    assert told[0]["same_again"] == "skipped"
    said = capsys.readouterr().out
    for text in ("2026-01-31", "abcdef01", "skipped", "rides 4,000", "other rides of that day"):
        assert text in said
    stack.invoke = lambda *_: {"status": "skipped", "run_id": train.run_id}
    train = stack.ledger.claim("classification-train", "f" * 64, fingerprint="f" * 64, lease=LEASE).run
    runs.train("classification")
    said = capsys.readouterr().out
    assert train.run_id in said
    assert "`trefoil runs`" in said


@pytest.mark.parametrize(
    ("leaf", "status", "bring"), [("classification", "idle", "--as customers"), ("forecasting", "empty", "sales.csv")]
)
def test_a_training_without_data_says_how_to_bring_them(
    stack: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], leaf: str, status: str, bring: str
) -> None:
    stack.invoke = lambda *_: {"status": status, "run_id": "r", "plan_key": "plans/forecasting/run=.json"}
    monkeypatch.setattr(runs, "start", lambda *_: "")
    monkeypatch.setattr(runs, "finished", stack.invoke)
    assert runs.train(leaf)["status"] == status
    said = capsys.readouterr().out
    assert bring in said
    assert "plan_key" not in said


def test_an_unknown_job_is_the_users_mistake(stack: Any) -> None:
    with pytest.raises(InputError, match="clustering"):
        runs.runs("nightly")


def letter(stack: Any, body: str, reason: str | None) -> None:
    attributes = {"reason": {"StringValue": reason, "DataType": "String"}} if reason else {}
    stack.client("sqs").send_message(QueueUrl=LETTERS, MessageBody=body, MessageAttributes=attributes)


def bodies(stack: Any, queue: str) -> list[str]:
    return sorted(message["Body"] for message in stack.client("sqs").queues.get(queue, []))


def test_dead_letters_are_counted_by_reason_and_sent_again_all_or_some(stack: Any) -> None:
    for i in range(30):
        letter(stack, f"{i:02}", ["age is missing", "not JSON", None][i % 3])
    answer = queue.classification(dry_run=True)
    assert answer == {"reasons": {"age is missing": 10, "not JSON": 10, "failed five times": 10}, "sent": 0}
    assert queue.classification(reason="failed five")["sent"] == 10
    assert len(bodies(stack, QUEUE)) == 10
    assert queue.classification()["sent"] == 20
    assert bodies(stack, QUEUE) == [f"{i:02}" for i in range(30)]
    assert bodies(stack, LETTERS) == []


def test_a_dry_run_that_takes_longer_than_letters_stay_hidden_counts_each_once(stack: Any) -> None:
    for i in range(25):
        letter(stack, f"{i}", "not JSON")
    sqs, calls = stack.client("sqs"), iter(range(100))
    receive = sqs.receive_message

    def slow(**arguments: Any) -> Any:
        if next(calls) in (2, 5, 8):  # five minutes later
            sqs.hidden.clear()
        return receive(**arguments)

    sqs.receive_message = slow
    assert queue.classification(dry_run=True)["reasons"] == {"not JSON": 25}
    assert sqs.hidden == set()


def test_letters_that_fail_again_at_once_are_sent_once_in_a_run(stack: Any) -> None:
    for i in range(10):
        letter(stack, f"{i}", "not JSON")
    sqs, sends = stack.client("sqs"), iter(range(100))
    send, sqs.time = sqs.send_message, 1 << 53  # what is sent from now on is sent after any start

    def poisoned(MessageBody: str, **_: Any) -> None:
        next(sends)
        send(QueueUrl=LETTERS, MessageBody=MessageBody)

    sqs.send_message = poisoned
    assert queue.classification() == {"reasons": {"not JSON": 10}, "sent": 10}
    assert bodies(stack, LETTERS) == [f"{i}" for i in range(10)]
    assert sqs.hidden <= {f"{i}" for i in range(1, 11)}


@pytest.mark.parametrize("dies", range(3))
def test_a_redrive_that_dies_between_send_and_delete_leaves_a_duplicate_and_no_loss(stack: Any, dies: int) -> None:
    for i in range(3):
        letter(stack, f"{i}", "not JSON")
    sqs, calls = stack.client("sqs"), iter(range(100))
    delete = sqs.delete_message

    def mortal(**arguments: str) -> None:
        if next(calls) == dies:
            raise KeyboardInterrupt
        delete(**arguments)

    sqs.delete_message = mortal
    with pytest.raises(KeyboardInterrupt):
        queue.classification()
    sqs.hidden.clear()  # five minutes later
    queue.classification()
    assert bodies(stack, LETTERS) == []
    assert sorted(set(bodies(stack, QUEUE))) == ["0", "1", "2"]
    assert len(bodies(stack, QUEUE)) == 4
