"""Grants as sentences: the narrowest verbs on the narrowest prefix, each wildcard accepted with its reason."""

from typing import Final, TypeVar

from aws_cdk import Acknowledgment, CfnResource, Stack, Validations
from aws_cdk import aws_dynamodb as dynamodb
from aws_cdk import aws_iam as iam
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_s3 as s3
from constructs import IConstruct

Resource = TypeVar("Resource", bound=CfnResource)

OBJECT_ACTIONS: Final = {
    "read": ["s3:GetObject"],
    "write": ["s3:PutObject", "s3:AbortMultipartUpload"],
    "tag": ["s3:PutObjectTagging"],
}


def acknowledge(construct: IConstruct, **reasons: str) -> None:
    """Accept cdk-nag rules at `construct`: `acknowledge(bucket, S1="why")` is AwsSolutions-S1."""
    for rule, reason in reasons.items():
        Validations.of(construct).acknowledge(Acknowledgment(id=f"AwsSolutions-{rule}", reason=reason))


def acknowledge_wildcard(construct: IConstruct, finding: str, reason: str) -> None:
    """Accept one wildcard: `finding` is what stands in the brackets of `AwsSolutions-IAM5[...]`."""
    acknowledge(construct, **{f"IAM5[{finding}]": reason})


def allow_objects(role: iam.Role, bucket: s3.IBucket, **prefixes: str) -> None:
    """Let `role` `read`, `write` or `tag` what lies under prefixes, parted by spaces, or the one object when a prefix
    ends without a slash: `allow_objects(role, lake, read="rides/ catalog.json")`."""
    arn = Stack.of(bucket).export_value(bucket.bucket_arn)
    exported = Stack.of(role).resolve(arn)["Fn::ImportValue"]
    for verb, prefix in ((verb, prefix) for verb, several in prefixes.items() for prefix in several.split()):
        pattern = f"{prefix}*" if prefix.endswith("/") else prefix
        role.add_to_policy(iam.PolicyStatement(actions=OBJECT_ACTIONS[verb], resources=[f"{arn}/{pattern}"]))
        if verb == "read":
            own = {"StringLike": {"s3:prefix": pattern}}
            role.add_to_policy(iam.PolicyStatement(actions=["s3:ListBucket"], resources=[arn], conditions=own))
        if pattern.endswith("*"):
            acknowledge_wildcard(role, f"Resource::{exported}/{pattern}", f"what lies under {prefix} only")


def allow_items(role: iam.Role, table: dynamodb.ITableV2, *actions: str, leaf: str = "") -> None:
    """Let `role` use `actions` of DynamoDB (`GetItem`, `PutItem`, ...) on `table`, or on the rows of `leaf` there."""
    own = {"ForAllValues:StringLike": {"dynamodb:LeadingKeys": [f"{leaf}*"]}} if leaf else None
    actions_ = [f"dynamodb:{action}" for action in actions]
    role.add_to_policy(iam.PolicyStatement(actions=actions_, resources=[table.table_arn], conditions=own))


def acknowledge_versions(construct: IConstruct, *functions: lambda_.IFunction) -> None:
    """Accept that the grant to invoke a function, as CDK writes it, covers all its versions."""
    for function in functions:
        finding = f"Resource::<{logical_id(function)}.Arn>:*"
        acknowledge_wildcard(construct, finding, "the function in any of its versions, and no other function")


def resource(construct: IConstruct, kind: type[Resource]) -> Resource:
    """The resource behind an L2 construct, for a property that this one does not offer."""
    node = construct.node.default_child
    assert isinstance(node, kind)  # noqa: S101 - narrows the type
    return node


def logical_id(construct: IConstruct) -> str:
    """Logical id of the resource behind an L2 construct."""
    return Stack.of(construct).get_logical_id(resource(construct, CfnResource))
