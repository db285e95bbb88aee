"""`trefoil smoke` on a local cloud of its own: it proves the stack, says where it falls short, and leaves nothing."""

import json
from collections.abc import Iterator
from datetime import date
from typing import Any

import pytest

from cli.backfill import run_day
from cli.queue import queue_depth
from cli.smoke import command
from cli.smoke.trial import Check
from cli.stack import Stack
from functions.classification.simulate import customers
from functions.forecasting.simulate import sales
from tests.drivers import deployed, put_rides, until
from tests.state import counted, objects
from tests.tables import as_parquet


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    with deployed(tmp_path_factory.mktemp("cloud") / "home") as made:
        yield made


@pytest.fixture(autouse=True)
def connected(stack: Stack, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(command, "change", lambda *_: stack)


def kept(stack: Stack) -> tuple[dict[str, bytes], dict[str, Any], int, list[str]]:
    """Whatever a test could leave behind."""
    users = stack.client("cognito-idp").list_users(UserPoolId=stack.outputs["UserPool"])["Users"]
    letters = queue_depth(stack, "ClassificationDeadLetters")
    return objects(stack), counted(stack), letters, sorted(user["Username"] for user in users)


def results(body: dict[str, Any]) -> dict[str, str]:
    return {check["check"]: check["result"] for check in body["checks"]}


class Dead(BaseException):
    """A process that ends without a chance to remove anything."""


def test_a_fresh_stack_is_proven_and_left_as_it_was_also_after_a_test_that_died(
    stack: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = kept(stack)

    def die(_: Any) -> str:
        monkeypatch.setattr(command, "remove", lambda _: None)
        raise Dead

    with monkeypatch.context() as patch:
        some = [check for check in command.CHECKS if check.name in ("a sales file", "a classifier")]
        patch.setattr(command, "CHECKS", [*some, Check("the end", die, "")])
        with pytest.raises(Dead):
            command.smoke()
    monkeypatch.undo()
    monkeypatch.setattr(command, "change", lambda *_: stack)
    assert stack.registry.champion("classification") is not None
    body, status = command.smoke()
    assert status == 0, body
    assert {name for name, result in results(body).items() if result != "ok"} == {"starts"}
    objects_after, *rest = kept(stack)
    assert json.loads(objects_after.pop("lake/catalog.json"))["series"] == {}
    assert (objects_after, *rest) == before


def test_a_stack_with_data_keeps_all_of_it_and_its_champion_is_asked(stack: Stack) -> None:
    stack.lake.put("customers/own.parquet", as_parquet(customers(4_000, 1)))
    stack.invoke("FunctionClassificationTrain", {"reason": "test"})
    stack.lake.put("sales/own.parquet", as_parquet(sales(1_600, 0)))
    put_rides(stack, date(2026, 1, 31), "own", 1_200, 1)
    assert run_day(stack, date(2026, 1, 31))["status"] == "published"
    stack.invoke("FunctionClassificationWatch", {})

    def ingested() -> bool:
        run = stack.ledger.get("forecasting-ingest", "sales/own.parquet")
        return run is not None and run.outcome == "done"

    until(ingested, "the sales")
    letter = {"QueueUrl": stack.outputs["ClassificationDeadLetters"], "MessageBody": "of somebody else"}
    stack.client("sqs").send_message(**letter)
    before = kept(stack)
    body, status = command.smoke()
    assert status == 0, body
    (trained,) = (check["figure"] for check in body["checks"] if check["check"] == "a classifier")
    assert trained.startswith("not trained")
    assert kept(stack) == before
