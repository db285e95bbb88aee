"""The stacks, deployed to the local cloud by `cdk deploy`."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from infra.local import processes
from infra.local.emulator import ACCOUNT, REGION, ROOT, environment
from layers.runtime.errors import TrefoilError

if TYPE_CHECKING:
    from infra.local.cloud import Cloud


def deploy_stacks(cloud: "Cloud", home: Path) -> None:
    """Build the images, if there are any, then bootstrap and deploy."""
    assembly = home / "cdk.out"
    env = environment(cloud.endpoint, cloud.packaging)
    if cloud.authority:
        env["AWS_CA_BUNDLE"] = cloud.authority
    _cdk(["synth", "--quiet", "--output", str(assembly)], env, home)
    if cloud.packaging == "image":
        from infra.local.images import build_images  # needs Docker's library

        build_images(assembly)
    _cdk(["bootstrap", "--app", str(assembly), f"aws://{ACCOUNT}/{REGION}"], env, home)
    if cloud.authority:
        _drop_prefix_conditions(assembly / f"trefoil-{cloud.stage}-service.template.json")
        # The emulator does not tell that the repository which CDK asks for is the one that this role is for.
        publisher = f"cdk-hnb659fds-image-publishing-role-{ACCOUNT}-{REGION}"
        everything = "arn:aws:iam::aws:policy/AdministratorAccess"
        cloud.client("iam").attach_role_policy(RoleName=publisher, PolicyArn=everything)
    parameters = ["--parameters", f"trefoil-{cloud.stage}-service:SavedQuery=no"]
    _cdk(["deploy", "--all", "--app", str(assembly), "--require-approval", "never", *parameters], env, home)
    _save_query(cloud, assembly)


def _drop_prefix_conditions(template: Path) -> None:
    """The emulator knows no `s3:prefix` and would refuse every listing, so there a role may list all of its bucket."""
    body = json.loads(template.read_text())
    for resource in body["Resources"].values():
        for statement in resource.get("Properties", {}).get("PolicyDocument", {}).get("Statement", ()):
            if statement["Action"] == "s3:ListBucket":
                del statement["Condition"]
    template.write_text(json.dumps(body))


def _save_query(cloud: "Cloud", assembly: Path) -> None:
    """Make by API what the emulator's CloudFormation cannot: the warehouse's saved query, as the template has it."""
    template = json.loads((assembly / f"trefoil-{cloud.stage}-service.template.json").read_text())
    client: Any = cloud.client("athena")
    for resource in template["Resources"].values():
        if resource["Type"] == "AWS::Athena::NamedQuery":
            client.create_named_query(**resource["Properties"])


def _cdk(arguments: list[str], env: Mapping[str, str], home: Path) -> None:
    command = ROOT / "node_modules" / ".bin" / "cdk"
    if not command.exists():
        raise TrefoilError("the CDK command line is not installed; `make setup` installs it")
    process = processes.spawn([str(command), *arguments], env, cwd=ROOT, log=home / "cdk.log")
    try:
        status = process.wait()
    except BaseException:
        processes.end(process.pid)
        raise
    if status:
        tail = (home / "cdk.log").read_text()[-4000:]
        raise TrefoilError(f"cdk {arguments[0]} ended with status {status}: {tail}")
