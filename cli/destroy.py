"""`trefoil destroy`: the stacks and what their deletion leaves behind, listed, and removed after confirmation.

All is found by the names and tags that CloudFormation gives, never by the stacks' outputs: so a second call ends what
one that died began, and also what `cdk destroy` left. The images go first, since the functions tell which they are.
"""

import re
from contextlib import suppress
from typing import Annotated, Any

import typer

from cli.console import err, say, wants_json
from cli.stack import Stack, change
from layers.runtime.errors import ConflictError, InputError, NotFoundError
from layers.storage.aws import translated

# In the order in which they go: service, what lists them at which path, what removes one by which argument.
KINDS = {
    "images": ("ecr", "", "", "", ""),
    "stacks": ("cloudformation", "describe_stacks", "Stacks[].StackName", "delete_stack", "StackName"),
    "buckets": ("s3", "list_buckets", "Buckets[].Name", "delete_bucket", "Bucket"),
    "tables": ("dynamodb", "list_tables", "TableNames[]", "delete_table", "TableName"),
    "user pools": ("cognito-idp", "", "", "delete_user_pool", "UserPoolId"),
    "log groups": ("logs", "describe_log_groups", "logGroups[].logGroupName", "delete_log_group", "logGroupName"),
}


def destroy(
    yes: Annotated[bool, typer.Option("--yes", help="Remove all that is listed, without asking.")] = False,
) -> dict[str, Any]:
    """Delete both stacks and what their deletion keeps: data, models, users, images, logs. Lists it first."""
    stack = change("removing", deployed=False)
    found = _found(stack)
    if not any(found.values()):
        raise NotFoundError(f"nothing of stage {stack.stage} is there")
    for kind in KINDS:
        for name in found[kind]:
            count = f": {len(_versions(stack, name)):,} objects and versions" if kind == "buckets" else ""
            say(f"{kind.removesuffix('s'):<11}{name}{count}")
    if not yes:
        typed = "" if wants_json() else typer.prompt(f"Type the stage ({stack.stage}) to remove all of it for good")
        if typed != stack.stage:
            raise InputError("nothing was removed; --yes removes without asking", field="confirmation")
    for kind in KINDS:
        for name in found[kind]:
            err.print(f"[dim]removing {kind.removesuffix('s')} {name} ...[/]")
            with suppress(NotFoundError, ConflictError), translated(name):  # or is being deleted already
                _remove(stack, kind, name)
    say(
        "removed; the bootstrap stack (CDKToolkit) serves other apps too and stays, with images of earlier deployments:"
    )
    say("npx cdk gc removes those that no stack uses")
    return {"removed": found}


def _found(stack: Stack) -> dict[str, list[str]]:
    """Names by kind; the service stack before the data stack, whose exports it holds on to."""
    prefix = f"trefoil-{stack.stage}-"
    ours = re.compile(rf"{prefix}(data|service)(-|$)")
    # Buckets are listed over all regions, and the stage may be deployed in another one too.
    here = {"BucketRegion": stack.client("s3").meta.region_name, "Prefix": prefix}
    found = {}
    for kind, (service, operation, path, _, _) in KINDS.items():
        names = stack.listed(service, operation, path, **(here if kind == "buckets" else {})) if operation else ()
        found[kind] = sorted(filter(ours.match, names), reverse=kind == "stacks")
    tags = [{"Key": "project", "Values": ["trefoil"]}, {"Key": "stage", "Values": [stack.stage]}]
    pools = {"TagFilters": tags, "ResourceTypeFilters": ["cognito-idp:userpool"]}
    arns = stack.listed("resourcegroupstaggingapi", "get_resources", "ResourceTagMappingList[].ResourceARN", **pools)
    found["user pools"] = sorted(arn.rpartition("/")[2] for arn in arns)
    found["images"] = _images(stack, prefix)
    return found


def _remove(stack: Stack, kind: str, name: str) -> None:
    service, _, _, operation, argument = KINDS[kind]
    client = stack.client(service)
    if kind == "images":
        address, _, tag = name.rpartition(":")
        client.batch_delete_image(repositoryName=address.partition("/")[2], imageIds=[{"imageTag": tag}])
        return
    if kind == "buckets":
        versions = _versions(stack, name)
        for first in range(0, len(versions), 1_000):
            client.delete_objects(Bucket=name, Delete={"Objects": versions[first : first + 1_000], "Quiet": True})
    getattr(client, operation)(**{argument: name})
    if kind == "stacks":
        client.get_waiter("stack_delete_complete").wait(StackName=name)


def _versions(stack: Stack, bucket: str) -> list[dict[str, str]]:
    path = "[Versions, DeleteMarkers][].{Key: Key, VersionId: VersionId}"
    return stack.listed("s3", "list_object_versions", path, Bucket=bucket)


def _images(stack: Stack, prefix: str) -> list[str]:
    """Addresses of the images that this stage's functions run; none when another stage may run the same ones."""
    stacks = stack.listed("cloudformation", "describe_stacks", "Stacks[].StackName")
    if any(re.fullmatch(r"trefoil-\w+-service", name) and not name.startswith(prefix) for name in stacks):
        return []
    uris = set()
    for name in stack.listed("lambda", "list_functions", "Functions[].FunctionName"):
        if name.startswith(prefix):
            with suppress(NotFoundError), translated(name):
                uris.add(stack.client("lambda").get_function(FunctionName=name)["Code"].get("ImageUri"))
    return sorted(uri for uri in uris if uri)
