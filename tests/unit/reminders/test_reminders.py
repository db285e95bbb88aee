"""The example of a fourth leaf: what is reminded, and what its role may do."""

import json
from typing import Any

from aws_cdk.assertions import Template

from examples.reminders.serve import ReminderService
from examples.reminders.settings import ReminderSettings
from examples.reminders.stack import Reminders
from infra.app import build
from infra.settings import DeploySettings, StageFile
from tests.fakes import InMemoryObjects


def image(user: str, segment: str, at: str = "2026-01-31T10:00:00.000000Z") -> dict[str, Any]:
    return {"user_id": {"S": user}, "segment": {"S": segment}, "observed_at": {"S": at}, "probability": {"N": "0.1"}}


def change(before: dict[str, Any] | None, after: dict[str, Any] | None) -> dict[str, Any]:
    """A record of the stream."""
    images = {"OldImage": before, "NewImage": after}
    return {"eventName": "MODIFY", "dynamodb": {name: one for name, one in images.items() if one is not None}}


def test_who_comes_to_the_lost_is_reminded_of_once_however_often_the_record_comes():
    lake = InMemoryObjects()
    service = ReminderService(lake, ReminderSettings())
    records = [
        change(image("ann", "target"), image("ann", "leave")),
        change(image("bob", "leave"), image("bob", "leave", "2026-02-01T10:00:00.000000Z")),
        change(None, image("new", "leave")),
        change(image("gone", "target"), None),
        change(image("eve", "leave"), image("eve", "nurture")),
    ]
    assert [service.remind(records), service.remind(records)] == [1, 0]
    ((key, body),) = lake.bodies.items()
    assert key.startswith("reminders/dt=2026-01-31/")
    assert "ann" not in key
    assert json.loads(body) == {
        "user_id": "ann",
        "segment_before": "target",
        "observed_at": "2026-01-31T10:00:00.000000Z",
    }


def test_the_segment_is_a_setting():
    lake = InMemoryObjects()
    moved = [change(image("ann", "target"), image("ann", "nurture"))]
    assert ReminderService(lake, ReminderSettings(lost="nurture")).remind(moved) == 1


def test_a_record_that_is_no_result_costs_no_other_and_shows_no_value(capsys):
    lake = InMemoryObjects()
    strange = [{}, None, {"dynamodb": {"NewImage": {"user_id": {"S": "secret"}}}}]
    due = change(image("ann", "target"), image("ann", "leave"))
    assert ReminderService(lake, ReminderSettings()).remind([*strange, due]) == 1
    said = capsys.readouterr().out
    assert said.count("record passed over") == 3
    assert "secret" not in said


def test_the_leaf_stands_beside_the_others_and_its_role_writes_reminders_only():
    app = build(DeploySettings(), StageFile("dev.toml", {}), Reminders)
    template = Template.from_stack(app.node.find_child("trefoil-dev-service"))
    policies = template.find_resources("AWS::IAM::Policy").values()
    (mine,) = (one["Properties"] for one in policies if one["Properties"]["Roles"][0]["Ref"].startswith("RemindersRem"))
    written = json.dumps([s for s in mine["PolicyDocument"]["Statement"] if "s3:" in json.dumps(s["Action"])])
    assert written.count("/reminders/*") == 1
    assert "GetObject" not in written
    (source,) = template.find_resources(
        "AWS::Lambda::EventSourceMapping", {"Properties": {"StartingPosition": "LATEST"}}
    ).values()
    assert source["Properties"]["DestinationConfig"]["OnFailure"]
    assert template.find_outputs("FunctionRemindersRemind")
