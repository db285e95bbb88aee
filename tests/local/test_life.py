"""A stack on a local cloud of its own, first fresh, then with data, at last taken away: `trefoil smoke` proves it, says
where it falls short, and leaves nothing; `trefoil destroy` ends it."""

import json
from collections.abc import Iterator
from datetime import date
from typing import Any

import pytest

from cli import destroy, doctor
from cli.backfill import run_day
from cli.queue import queue_depth
from cli.smoke import command
from cli.smoke.trial import Check
from cli.stack import Stack
from functions.classification.simulate import customers
from functions.forecasting.simulate import sales
from layers.runtime.errors import InputError, NotFoundError
from tests.drivers import deployed, put_rides, until
from tests.state import counted, objects
from tests.tables import as_parquet

REMOVING = ("delete_", "batch_delete_")


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
    """A process that ends on the spot."""


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


class Fatal:
    """A client of the stack whose every call that removes something is the last of its process."""

    def __init__(self, client: Any, calls: list[str]) -> None:
        self._client, self._calls = client, calls

    def __getattr__(self, name: str) -> Any:
        real = getattr(self._client, name)
        if not name.startswith(REMOVING):
            return real

        def call(**arguments: Any) -> None:
            real(**arguments)
            self._calls.append(f"{name} {next(iter(arguments.values()))}")
            raise Dead

        return call


def left(stack: Stack) -> list[str]:
    """Whatever in the account is named after the project, or is a user pool."""
    client = stack.client
    found = [bucket["Name"] for bucket in client("s3").list_buckets()["Buckets"]]
    found += client("dynamodb").list_tables()["TableNames"]
    found += [group["logGroupName"] for group in client("logs").describe_log_groups()["logGroups"]]
    found += [one["StackName"] for one in client("cloudformation").describe_stacks()["Stacks"]]
    found += [one["FunctionName"] for one in client("lambda").list_functions()["Functions"]]
    users = [one["Id"] for one in client("cognito-idp").list_user_pools(MaxResults=10)["UserPools"]]
    return [name for name in found if name.startswith("trefoil")] + users


def test_destroy_lists_and_removes_all_and_ends_what_one_that_died_began(
    stack: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(destroy, "change", lambda *_, **__: stack)
    monkeypatch.setattr(doctor, "connect", lambda *_, **__: stack)
    checked, _ = doctor.doctor()
    found = {one["check"]: one for one in checked["findings"]}
    for name in ("credentials", "bootstrap", "concurrent executions", "visibility timeout", "API timeout"):
        assert found[name]["ok"], found[name]

    stack.lake.put("rides/dt=2026-01-01/a.csv", b"x")
    models = stack.outputs["ModelsBucket"]
    for body in (b"1", b"2"):
        stack.client("s3").put_object(Bucket=models, Key="versioned", Body=body)
    stack.client("logs").create_log_group(logGroupName="trefoil-local-service-OfAStackThatFailed")
    stack.client("s3").create_bucket(Bucket="trefoil-other-data-lake")
    before = left(stack)
    monkeypatch.setattr(destroy, "wants_json", lambda: True)
    with pytest.raises(InputError, match="nothing was removed"):
        destroy.destroy()
    assert left(stack) == before

    calls: list[str] = []
    real = Stack.client
    monkeypatch.setattr(Stack, "client", lambda self, service: Fatal(real(self, service), calls))
    while True:
        standing = len(calls)
        try:
            destroy.destroy(yes=True)
        except Dead:
            assert len(calls) == standing + 1
        except NotFoundError:
            break
    monkeypatch.setattr(Stack, "client", real)
    kinds = [call.split(" ")[0] for call in calls]
    assert kinds[:2] == ["delete_stack"] * 2
    assert calls[0].endswith("-service")
    assert sorted(kinds[2:]) == sorted(
        ["delete_objects", "delete_bucket"] * 2 + ["delete_table"] * 5 + ["delete_user_pool", "delete_log_group"]
    )
    assert left(stack) == ["trefoil-other-data-lake"]

    stack.client("logs").create_log_group(logGroupName="trefoil-local-service-Late")
    removed = {kind: names for kind, names in destroy.destroy(yes=True)["removed"].items() if names}
    assert removed == {"log groups": ["trefoil-local-service-Late"]}
    assert left(stack) == ["trefoil-other-data-lake"]
