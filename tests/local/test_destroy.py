"""A complete teardown, on a local cloud of its own."""

from pathlib import Path

import pytest

from cli import destroy, doctor
from cli.stack import local_stack
from infra.local import cloud as local
from layers.runtime.errors import InputError


def test_destroy_lists_and_then_removes_what_a_stack_deletion_leaves(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with local.running(lambda _: None, home=tmp_path / "home") as cloud:
        stack = local_stack(cloud)
        for module in (destroy, doctor):
            monkeypatch.setattr(module, "connect", lambda *_: stack)
        checked, _ = doctor.doctor()
        found = {one["check"]: one for one in checked["findings"]}
        for name in ("credentials", "bootstrap", "concurrent executions", "visibility timeout", "API timeout"):
            assert found[name]["ok"], found[name]

        stack.lake.put("rides/dt=2026-01-01/a.csv", b"x")
        models = stack.outputs["ModelsBucket"]
        for body in (b"1", b"2"):
            stack.client("s3").put_object(Bucket=models, Key="versioned", Body=body)
        with pytest.raises(InputError, match="nothing was removed"):
            destroy.destroy(json_output=True)
        assert stack.lake.get("rides/dt=2026-01-01/a.csv") == b"x"

        removed = destroy.destroy(yes=True)["removed"]
        assert removed["buckets"] == {stack.lake.bucket: 1, models: 2}
        assert cloud.client("s3").list_buckets()["Buckets"] == [] or all(
            not bucket["Name"].startswith("trefoil") for bucket in cloud.client("s3").list_buckets()["Buckets"]
        )
        assert not [t for t in cloud.client("dynamodb").list_tables()["TableNames"] if t.startswith("trefoil")]
        assert cloud.client("cognito-idp").list_user_pools(MaxResults=10)["UserPools"] == []
        assert not [
            stack_
            for stack_ in cloud.client("cloudformation").list_stacks()["StackSummaries"]
            if stack_["StackName"].startswith("trefoil") and stack_["StackStatus"] != "DELETE_COMPLETE"
        ]
