"""Grants as sentences: the narrowest verbs on the narrowest prefix, each wildcard accepted with its reason."""

from typing import Final

from aws_cdk import Acknowledgment, CfnResource, Stack, Validations
from aws_cdk import aws_dynamodb as dynamodb
from aws_cdk import aws_iam as iam
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_s3 as s3
from constructs import IConstruct

OBJECT_ACTIONS: Final = {
    "read": ["s3:GetObject"],
    "write": ["s3:PutObject", "s3:AbortMultipartUpload"],
    "tag": ["s3:PutObjectTagging"],
}


def acknowledge(construct: IConstruct, **reasons: str) -> None:
    """Accept cdk-nag rules at `construct`: `acknowledge(bucket, S1="why")` is AwsSolutions-S1."""
    for rule, reason in reasons.items():
        _accept(construct, f"AwsSolutions-{rule}", reason)


def acknowledge_wildcard(construct: IConstruct, finding: str, reason: str) -> None:
    """Accept one wildcard: `finding` is what stands in the brackets of `AwsSolutions-IAM5[...]`."""
    _accept(construct, f"AwsSolutions-IAM5[{finding}]", reason)


def _accept(construct: IConstruct, rule: str, reason: str) -> None:
    Validations.of(construct).acknowledge(Acknowledgment(id=rule, reason=reason))


def allow_objects(role: iam.Role, bucket: s3.IBucket, prefix: str, *verbs: str) -> None:
    """Let `role` "read", "write" or "tag" what lies under `prefix`, or the one object when it ends without a slash."""
    arn = Stack.of(bucket).export_value(bucket.bucket_arn)
    pattern = f"{prefix}*" if prefix.endswith("/") else prefix
    actions = [action for verb in verbs for action in OBJECT_ACTIONS[verb]]
    role.add_to_policy(iam.PolicyStatement(actions=actions, resources=[f"{arn}/{pattern}"]))
    if "read" in verbs:
        own = {"StringLike": {"s3:prefix": pattern}}
        role.add_to_policy(iam.PolicyStatement(actions=["s3:ListBucket"], resources=[arn], conditions=own))
    if pattern.endswith("*"):
        exported = Stack.of(role).resolve(arn)["Fn::ImportValue"]
        acknowledge_wildcard(role, f"Resource::{exported}/{pattern}", f"{' and '.join(verbs)} under {prefix} only")


def allow_items(role: iam.Role, table: dynamodb.ITableV2, *actions: str, leaf: str = "") -> None:
    """Let `role` use `actions` of DynamoDB (`GetItem`, `PutItem`, ...) on `table`, or on the rows of `leaf` there."""
    own = {"ForAllValues:StringLike": {"dynamodb:LeadingKeys": [f"{leaf}*"]}}
    role.add_to_policy(
        iam.PolicyStatement(
            actions=[f"dynamodb:{action}" for action in actions],
            resources=[table.table_arn],
            conditions=own if leaf else None,
        )
    )


def acknowledge_versions(construct: IConstruct, *functions: lambda_.IFunction) -> None:
    """Accept that the grant to invoke a function, as CDK writes it, covers all its versions."""
    for function in functions:
        finding = f"Resource::<{logical_id(function)}.Arn>:*"
        acknowledge_wildcard(construct, finding, "the function in any of its versions, and no other function")


def logical_id(construct: IConstruct) -> str:
    """Logical id of the resource behind an L2 construct."""
    node = construct.node.default_child
    assert isinstance(node, CfnResource)  # noqa: S101 - narrows the type
    return Stack.of(construct).get_logical_id(node)
