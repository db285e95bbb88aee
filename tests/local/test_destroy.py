"""A complete teardown, on a local cloud of its own."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from cli import destroy, doctor
from cli.stack import Stack
from layers.runtime.errors import InputError, NotFoundError
from tests.drivers import deployed

REMOVING = ("delete_", "batch_delete_")


@pytest.fixture
def stack(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Stack]:
    with deployed(tmp_path / "home") as made:
        monkeypatch.setattr(destroy, "change", lambda *_, **__: made)
        monkeypatch.setattr(doctor, "connect", lambda *_, **__: made)
        yield made


class Dead(BaseException):
    """A process that ends after a call that removed something."""


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
