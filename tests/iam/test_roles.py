"""What each role may do and may not: every verb on every thing, tried with the role's own credentials.

The table of grants (tests/infrastructure/test_grants.py) says which cells of this matrix are allowed; all others must
be refused. Each call is allowed to somebody, if only to the administrator, who makes the probes and tries last: so a
refusal is one of the role and not of the call.

The emulator does not know `dynamodb:LeadingKeys`, which keeps a leaf to its own rows of the tables that are shared:
that is held on the template alone.
"""

import json
import re
from collections.abc import Callable
from contextlib import suppress
from fnmatch import fnmatchcase
from functools import partial
from typing import Any

import pytest
from botocore.exceptions import ClientError

from cli.stack import Stack
from infra.local.images import ACCOUNT
from layers.runtime.errors import ConflictError
from layers.storage.objects import S3Objects
from tests.grants import MAY
from tests.iam.conftest import roles
from tests.tally import Tally

Clients = Callable[[str], Any]
Call = Callable[[Clients], Any]

KEYS = {
    "models": ("leaf", "version"),
    "runs": ("job", "key"),
    "forecasts": ("series_id", "item"),
    "classifications": ("user_id",),
    "profiles": ("model", "bucket"),
}
QUEUES = {
    "ClassificationEventsQueue": "ClassificationQueue",
    "ClassificationEventsDeadLetters": "ClassificationDeadLetters",
    "ForecastingArrivalsQueue": "ForecastingArrivals",
    "Undelivered": "Undelivered",
}
MACHINES = {"ClusteringRunMachine": "ClusteringStateMachine", "ForecastingRunMachine": "ForecastingStateMachine"}
HERE = f"arn:aws:iam::{ACCOUNT}:root"


def allowed(role: str, sentence: str) -> bool:
    """Whether the table of grants has it: reading from a bucket comes with listing it."""
    grants = {f"list {grant.split()[1].split('/')[0]}" for grant in MAY[role] if grant.startswith("read ")} | MAY[role]
    return any(covers(grant, sentence) for grant in grants)


def covers(grant: str, sentence: str) -> bool:
    """Whether the grant is of that, or of a table without saying whose rows."""
    return fnmatchcase(sentence, grant) or fnmatchcase(sentence, f"{grant}/*")


def call(service: str, operation: str, **arguments: Any) -> Call:
    return lambda clients: getattr(clients(service), operation)(**arguments)


def on_objects(stack: Stack) -> dict[str, Call]:
    """On every path that some role has a grant for."""
    calls = {}
    grants = {grant for may in MAY.values() for grant in may if grant.startswith(("read ", "write ", "tag "))}
    for path in sorted({grant.split(" ")[1].replace("*", "probe") for grant in grants}):
        name, _, key = path.partition("/")
        bucket = S3Objects(stack.outputs[f"{name.title()}Bucket"], stack.client("s3"))
        with suppress(ConflictError):
            bucket.put(key, b"{}", if_absent=True)
        at = partial(call, "s3", Bucket=bucket.bucket, Key=key)
        calls[f"read {path}"] = at(operation="get_object")
        calls[f"write {path}"] = at(operation="put_object", Body=bucket.get(key))
        calls[f"tag {path}"] = at(operation="put_object_tagging", Tagging={"TagSet": [{"Key": "a", "Value": "b"}]})
        calls[f"delete {path}"] = at(operation="delete_object")
        calls[f"list {name}"] = call("s3", "list_objects_v2", Bucket=bucket.bucket)
    return calls


def on_items(stack: Stack, leaf: str) -> dict[str, Call]:
    """On every table, in those that are shared on a row of the leaf."""
    calls = {}
    for table, names in KEYS.items():
        key = {name: {"S": leaf} for name in names}
        at = partial(call, "dynamodb", TableName=stack.outputs[f"{table.title()}Table"])
        of = f"{table}/{leaf}" if table in ("models", "runs") else table
        calls |= {
            f"GetItem {of}": at(operation="get_item", Key=key),
            f"PutItem {of}": at(operation="put_item", Item=key),
            f"UpdateItem {of}": at(operation="update_item", Key=key),
            f"DeleteItem {of}": at(operation="delete_item", Key=key),
            f"Scan {of}": at(operation="scan", Limit=1),
            f"Query {of}": at(
                operation="query",
                KeyConditionExpression="#k = :v",
                ExpressionAttributeNames={"#k": names[0]},
                ExpressionAttributeValues={":v": {"S": leaf}},
            ),
        }
    return calls


def on_what_runs(stack: Stack) -> dict[str, Call]:
    """On every function, state machine and queue, on metrics, and on the roles themselves."""
    calls = {}
    for name, value in stack.outputs.items():
        if function := name.partition("Function")[2]:
            of = re.sub("([a-z])([A-Z])", r"\1\2", function)
            at = partial(call, "lambda", FunctionName=value)
            calls[f"invoke {of}"] = at(operation="invoke", InvocationType="DryRun")
            calls[f"change {of}"] = at(operation="update_function_configuration", Description="")
    for machine, output in MACHINES.items():
        day = json.dumps({"dt": "2001-01-01"})
        arn = stack.outputs[output]
        calls[f"start {machine}"] = call("stepfunctions", "start_execution", stateMachineArn=arn, input=day)
    for queue, output in QUEUES.items():
        at = partial(call, "sqs", QueueUrl=stack.outputs[output])
        calls[f"send {queue}"] = at(operation="send_message", MessageBody="probe")
        calls[f"receive {queue}"] = at(operation="receive_message", VisibilityTimeout=0)
        calls[f"count {queue}"] = at(operation="get_queue_attributes", AttributeNames=["ApproximateNumberOfMessages"])
    calls["describe alarms"] = call("cloudwatch", "describe_alarms")
    for role in roles(stack).values():
        calls["change a role"] = call("iam", "update_role_description", RoleName=role, Description="")
    return calls


def assumed(stack: Stack, role: str) -> Clients:
    """Clients with the credentials of the role, whose trust, and nothing else of it, is widened to this account."""
    iam, name = stack.client("iam"), roles(stack)[role]
    trust = iam.get_role(RoleName=name)["Role"]["AssumeRolePolicyDocument"]
    for statement in trust["Statement"]:
        statement["Principal"]["AWS"] = HERE
    iam.update_assume_role_policy(RoleName=name, PolicyDocument=json.dumps(trust))
    arn = f"arn:aws:iam::{ACCOUNT}:role/{name}"
    given = stack.client("sts").assume_role(RoleArn=arn, RoleSessionName="probe")["Credentials"]
    made: dict[str, Any] = {}

    def client(service: str) -> Any:
        if service not in made:
            made[service] = stack.session.client(
                service,
                endpoint_url=stack.endpoint,
                aws_access_key_id=given["AccessKeyId"],
                aws_secret_access_key=given["SecretAccessKey"],
                aws_session_token=given["SessionToken"],
            )
        return made[service]

    return client


def passes(clients: Clients, call: Call) -> bool:
    """Whether the call succeeds; what fails for another reason than a refusal is an error of the test."""
    try:
        call(clients)
    except ClientError as exc:
        if exc.response["Error"]["Code"] not in ("AccessDenied", "AccessDeniedException"):
            raise
        return False
    return True


def matrix(stack: Stack, leaf: str) -> dict[str, Call]:
    return on_items(stack, leaf) | on_what_runs(stack) | on_objects(stack)


@pytest.mark.parametrize("role", MAY)
def test_a_role_is_refused_all_that_it_has_no_grant_for(stack: Stack, tally: Tally, role: str) -> None:
    calls = matrix(stack, re.split("(?<!^)(?=[A-Z])", role)[0].lower())
    clients = assumed(stack, role)
    passed = {sentence for sentence, call in calls.items() if passes(clients, call)}
    tally.add("Roles", role=role, tried=len(calls), allowed=len(passed), refused=len(calls) - len(passed))
    assert passed == {sentence for sentence in calls if allowed(role, sentence)}
    assert all(any(covers(grant, sentence) for sentence in passed) for grant in MAY[role])


def test_the_administrator_is_refused_nothing(stack: Stack, tally: Tally) -> None:
    calls = matrix(stack, "probe")
    refused = {sentence for sentence, call in calls.items() if not passes(stack.client, call)}
    tally.add("Roles", role="administrator", tried=len(calls), allowed=len(calls) - len(refused), refused=len(refused))
    assert not refused
