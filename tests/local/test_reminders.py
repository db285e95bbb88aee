"""The example of a fourth leaf, deployed over a stack that stands."""

import json
from pathlib import Path

from cli.stack import Stack
from infra.local import cloud as local
from infra.local.deployment import deploy_stacks
from tests.drivers import until


def test_a_fourth_leaf_is_added_to_a_stack_and_hears_of_segments(stack: Stack, tmp_path: Path) -> None:
    before = stack.outputs
    deploy_stacks(stack.endpoint or "", "source", tmp_path, app="examples.reminders.app")
    outputs = local.outputs(stack.client("cloudformation"), "local")
    assert outputs.keys() - before.keys() == {"FunctionRemindersRemind"}
    assert {name: outputs[name] for name in before} == before
    rows = [("target", "2026-01-30T10:00:00.000000Z"), ("leave", "2026-01-31T10:00:00.000000Z")]
    for segment, at in rows:
        item = {"user_id": {"S": "reminded"}, "segment": {"S": segment}, "observed_at": {"S": at}}
        stack.client("dynamodb").put_item(TableName=outputs["ClassificationsTable"], Item=item)
    objects = until(lambda: list(stack.lake.list("reminders/")), "a reminder")
    said = [json.loads(stack.lake.get(one.key)) for one in objects]
    assert [one for one in said if one["user_id"] == "reminded"] == [
        {"user_id": "reminded", "segment_before": "target", "observed_at": rows[1][1]}
    ]
