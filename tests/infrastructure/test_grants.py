"""What each role may do: what its code, its map or its schedule calls, and no more."""

import json
import re
from typing import Any

import pytest

from infra.app import build
from infra.settings import DeploySettings, StageFile
from tests.grants import MAY
from tests.templates import resources, templates

VERBS = {
    "s3:GetObject": "read",
    "s3:PutObject": "write",
    "s3:PutObjectTagging": "tag",
    "sqs:SendMessage": "send",
    "sqs:ReceiveMessage": "receive",
    "lambda:InvokeFunction": "invoke",
    "states:StartExecution": "start",
    "sqs:GetQueueAttributes": "count",
    "cloudwatch:DescribeAlarms": "describe",
}
# What comes with one of the verbs, on the same resource, and what every function and machine has for its logs.
COMPANIONS = re.compile(
    r"s3:ListBucket|s3:AbortMultipartUpload|logs:|xray:|states:(?:Describe|Stop|Redrive)Execution"
    r"|sqs:(?:GetQueueUrl|ChangeMessageVisibility|DeleteMessage)$"
)


def listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def named(resource: Any) -> str:
    """The bucket, table (both in lower case, then what of it), queue, function or machine of a statement."""
    if resource == "*":
        return "*"
    text = json.dumps(resource)
    if ":alarm:*" in text:
        return "alarms"
    found = re.search(r'(?:FnGetAtt|GetAtt": \["|"Ref": ")([A-Za-z]+?)(Bucket|Table|Function|)[0-9A-F]{8}', text)
    assert found, text
    path = re.search(r', "(/[^"]*)"', text)
    name = found[1].lower() if found[2] in ("Bucket", "Table") else found[1]
    return name + (path[1] if path else "")


def sentences(role: str) -> set[str]:
    """Statements of the role."""
    said = set()
    for policy in resources(templates()[1], "AWS::IAM::Policy").values():
        (owner,) = policy["Properties"]["Roles"]
        if not re.fullmatch(rf"{role}Role[0-9A-F]{{8}}", owner["Ref"]):
            continue
        for statement in policy["Properties"]["PolicyDocument"]["Statement"]:
            assert statement["Effect"] == "Allow"
            actions = [action for action in listed(statement["Action"]) if not COMPANIONS.match(action)]
            rows = statement.get("Condition", {}).get("ForAllValues:StringLike", {}).get("dynamodb:LeadingKeys", [])
            of = "".join(f"/{row}" for row in rows)
            said |= {
                f"{VERBS.get(action, action)} {named(resource)}{of}".removeprefix("dynamodb:")
                for action in actions
                for resource in listed(statement["Resource"])
            }
    return said


def test_every_role_has_its_sentences() -> None:
    roles = [role for template in templates() for role in resources(template, "AWS::IAM::Role")]
    assert sorted(re.sub(r"Role[0-9A-F]{8}$", "", role) for role in roles) == sorted(MAY)


@pytest.mark.parametrize("role", MAY)
def test_a_role_may_do_what_is_called_and_no_more(role: str) -> None:
    assert sentences(role) == MAY[role]


def test_who_may_read_a_prefix_may_list_that_prefix_only() -> None:
    for policy in resources(templates()[1], "AWS::IAM::Policy").values():
        statements = policy["Properties"]["PolicyDocument"]["Statement"]
        read = {
            (json.dumps(resource["Fn::Join"][1][0]), resource["Fn::Join"][1][1].removeprefix("/"))
            for statement in statements
            if listed(statement["Action"])[0] == "s3:GetObject"
            for resource in listed(statement["Resource"])
        }
        may_list = {
            (json.dumps(statement["Resource"]), statement.get("Condition", {}).get("StringLike", {}).get("s3:prefix"))
            for statement in statements
            if "s3:ListBucket" in listed(statement["Action"])
        }
        assert may_list <= read, policy["Properties"]["Roles"]


def test_the_waiver_of_a_function_that_may_touch_anything_names_what_it_may_do() -> None:
    service = build(DeploySettings(), StageFile("dev.toml", {})).node.find_child("trefoil-dev-service")
    for leaf in ("Clustering", "Forecasting", "Classification", "Console"):
        for entry, function in service.node.find_child(leaf).functions.items():  # type: ignore[attr-defined]
            reasons = " ".join(
                reason
                for entry_ in function.role.node.metadata
                if isinstance(entry_.data, dict)
                for rule, reason in entry_.data.items()
                if rule.endswith("IAM5[Resource::*]")
            )
            role = f"{leaf}{entry.title()}"
            for action in anywhere(role):
                assert action.partition(":")[2] in reasons, f"{role} may {action} anywhere"


def anywhere(role: str) -> set[str]:
    """Actions of a role on every resource."""
    return {
        action
        for policy in resources(templates()[1], "AWS::IAM::Policy").values()
        if re.fullmatch(rf"{role}Role[0-9A-F]{{8}}", policy["Properties"]["Roles"][0]["Ref"])
        for statement in policy["Properties"]["PolicyDocument"]["Statement"]
        if statement["Resource"] == "*"
        for action in listed(statement["Action"])
    }


def test_alarms_may_publish_to_their_topic_and_plain_http_may_not() -> None:
    (policy,) = resources(templates()[1], "AWS::SNS::TopicPolicy").values()
    statements = policy["Properties"]["PolicyDocument"]["Statement"]
    allowed = [s for s in statements if s["Effect"] == "Allow"]
    assert [(s["Principal"], s["Action"]) for s in allowed] == [
        ({"Service": "cloudwatch.amazonaws.com"}, "sns:Publish")
    ]
    assert allowed[0]["Condition"] == {"StringEquals": {"aws:SourceAccount": {"Ref": "AWS::AccountId"}}}
    assert [s["Condition"] for s in statements if s["Effect"] == "Deny"] == [{"Bool": {"aws:SecureTransport": "false"}}]
