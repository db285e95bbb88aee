"""One local cloud that enforces IAM, over TLS, with the image stack deployed to it."""

import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from cli.stack import Stack, local_stack
from infra.local import cloud as local

ROLE = re.compile(r"(\w+)Role[0-9A-F]{8}")


def roles(stack: Stack) -> dict[str, str]:
    """Names of the roles of the service stack, by their names in the table of grants."""
    pages = stack.client("cloudformation").get_paginator("list_stack_resources")
    found = {}
    for page in pages.paginate(StackName=f"trefoil-{stack.stage}-service"):
        for resource in page["StackResourceSummaries"]:
            if resource["ResourceType"] == "AWS::IAM::Role":
                match = ROLE.fullmatch(resource["LogicalResourceId"])
                assert match, resource
                found[match[1]] = resource["PhysicalResourceId"]
    return found


@pytest.fixture(scope="session")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    home: Path = tmp_path_factory.mktemp("cloud") / "home"
    with local.running(print, packaging="image", home=home, enforce=True) as cloud:
        made = local_stack(cloud)
        _let_batches_be_sent(made)
        yield made


def _let_batches_be_sent(stack: Stack) -> None:
    """On AWS `sqs:SendMessage` is for batches, too; the emulator asks for an action that AWS does not have."""
    queue = {"QueueUrl": stack.outputs["ClassificationDeadLetters"], "AttributeNames": ["QueueArn"]}
    arn = stack.client("sqs").get_queue_attributes(**queue)["Attributes"]["QueueArn"]
    grant = {"Effect": "Allow", "Action": "sqs:SendMessageBatch", "Resource": arn}
    stack.client("iam").put_role_policy(
        RoleName=roles(stack)["ClassificationScore"],
        PolicyName="batch",
        PolicyDocument=json.dumps({"Version": "2012-10-17", "Statement": [grant]}),
    )
