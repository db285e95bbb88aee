"""`trefoil destroy`: what a stack deletion leaves behind is listed, and removed after confirmation."""

import re
from typing import Annotated, Any

import typer

from cli.console import Json, err, say
from cli.stack import Profile, Stack, Stage, connect
from layers.runtime.errors import InputError, NotFoundError
from layers.storage.aws import translated

BUCKETS = ("LakeBucket", "ModelsBucket")
TABLES = ("ModelsTable", "RunsTable", "ForecastsTable", "ClassificationsTable", "ProfilesTable")


def destroy(
    yes: Annotated[bool, typer.Option("--yes", help="Remove all that is listed, without asking.")] = False,
    stage: Stage = "dev",
    profile: Profile = None,
    json_output: Json = False,
) -> dict[str, Any]:
    """Delete both stacks and what their deletion keeps: data, models, users, images. Lists it first."""
    stack = connect(stage, profile)
    found: dict[str, Any] = {
        "stacks": [f"trefoil-{stack.stage}-service", f"trefoil-{stack.stage}-data"],
        "buckets": {stack.outputs[name]: _objects(stack, stack.outputs[name]) for name in BUCKETS},
        "tables": [stack.outputs[name] for name in TABLES],
        "user_pool": stack.outputs["UserPool"],
        "images": _images(stack),
    }
    say(f"stacks     {', '.join(found['stacks'])}")
    for bucket, count in found["buckets"].items():
        say(f"bucket     {bucket}: {count:,} objects and versions")
    for table in found["tables"]:
        say(f"table      {table}")
    say(f"user pool  {found['user_pool']}")
    say(f"images     {len(found['images'])} in the bootstrap's repository")
    if not yes:
        typed = "" if json_output else typer.prompt(f"Type the stage ({stack.stage}) to remove all of it for good")
        if typed != stack.stage:
            raise InputError("nothing was removed; --yes removes without asking", field="confirmation")
    _remove(stack, found)
    say("removed; the bootstrap stack (CDKToolkit) serves other apps too and stays")
    return {"removed": found}


def _remove(stack: Stack, found: dict[str, Any]) -> None:
    formation = stack.client("cloudformation")
    images = found["images"]
    for name in found["stacks"]:
        err.print(f"[dim]deleting {name} ...[/]")
        formation.delete_stack(StackName=name)
        formation.get_waiter("stack_delete_complete").wait(StackName=name)
    for bucket in found["buckets"]:
        _empty(stack, bucket)
        stack.client("s3").delete_bucket(Bucket=bucket)
    for table in found["tables"]:
        stack.client("dynamodb").delete_table(TableName=table)
    stack.client("cognito-idp").delete_user_pool(UserPoolId=found["user_pool"])
    for first in range(0, len(images), 100):
        ids = [{"imageTag": uri.rpartition(":")[2]} for uri in images[first : first + 100]]
        repository = images[first].partition("/")[2].rpartition(":")[0]
        stack.client("ecr").batch_delete_image(repositoryName=repository, imageIds=ids)


def _versions(stack: Stack, bucket: str) -> list[list[dict[str, str]]]:
    pages = stack.client("s3").get_paginator("list_object_versions").paginate(Bucket=bucket)
    return [
        [
            {"Key": entry["Key"], "VersionId": entry["VersionId"]}
            for entry in [*page.get("Versions", ()), *page.get("DeleteMarkers", ())]
        ]
        for page in pages
    ]


def _objects(stack: Stack, bucket: str) -> int:
    return sum(map(len, _versions(stack, bucket)))


def _empty(stack: Stack, bucket: str) -> None:
    for page in _versions(stack, bucket):
        if page:
            stack.client("s3").delete_objects(Bucket=bucket, Delete={"Objects": page, "Quiet": True})


def _images(stack: Stack) -> list[str]:
    """Addresses of the images that this stage's functions run; none when another stage may run the same ones."""
    if _other_stages(stack):
        return []
    uris = set()
    for name in (value for key, value in stack.outputs.items() if key.startswith("Function")):
        try:
            with translated(name):
                code = stack.client("lambda").get_function(FunctionName=name)["Code"]
        except NotFoundError:
            continue
        uris |= {code["ImageUri"]} if code.get("ImageUri") else set()
    return sorted(uris)


def _other_stages(stack: Stack) -> list[str]:
    pages = stack.client("cloudformation").get_paginator("describe_stacks").paginate()
    names = (found["StackName"] for page in pages for found in page["Stacks"])
    return [name for name in names if re.fullmatch(r"trefoil-\w+-service", name) and stack.stage not in name.split("-")]
