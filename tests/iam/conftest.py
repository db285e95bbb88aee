"""One local cloud that enforces IAM, over TLS, with the image stack deployed to it."""

import json
import re
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from cli.stack import Stack, local_stack
from infra.local import cloud as local
from infra.local import deployment, emulator

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


def certificate(home: Path, host: str) -> tuple[Path, Path]:
    """Key and certificate of the emulator: without TLS the policies of buckets and queues refuse every call."""
    key, made = home / "server.key", home / "server.crt"
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "1", "-subj", "/CN=trefoil"]
    command += ["-addext", f"subjectAltName=IP:{host}", "-keyout", str(key), "-out", str(made)]
    subprocess.run(command, check=True, capture_output=True, timeout=120)
    return key, made


def enforce(patch: pytest.MonkeyPatch) -> None:
    """Let the emulator refuse what a role may not do: of image functions only, source runs as the account there.

    Where it runs in a container itself, the emulator copies its certificate into those of the functions, so these are
    not read-only; and it lets root alone read the bundle that it makes.
    """
    plain, adapted, addresses = emulator.settings, deployment.adapted, []

    def settings(home: Path, network: Mapping[str, str]) -> dict[str, str]:
        variables = plain(home, network)
        key, made = certificate(home, variables["BIND_HOST"])
        for name in ("AWS_CA_BUNDLE", "SSL_CERT_FILE"):  # of botocore and Node, of Python itself
            patch.setenv(name, str(made))
        flags = variables["LAMBDA_DOCKER_FLAGS"].replace("--read-only ", "")
        variables |= {
            "AUTH": "true",
            "USE_SSL": "1",
            "MINISTACK_SSL_CERT": str(made),
            "MINISTACK_SSL_KEY": str(key),
            "LAMBDA_DOCKER_FLAGS": f"{flags} --env AWS_CA_BUNDLE=/var/ministack/ministack-ca.pem",
        }
        addresses.append(emulator.endpoint(variables))
        return variables

    def without_prefixes(template: dict[str, Any]) -> dict[str, Any]:
        """The emulator knows no `s3:prefix` and would refuse every listing, so a role may list all of its bucket."""
        let_images_be_published(local.Cloud(endpoint=addresses[-1], pid=0, packaging="image"))
        template = adapted(template)
        for resource in template["Resources"].values():
            for statement in resource.get("Properties", {}).get("PolicyDocument", {}).get("Statement", ()):
                if statement["Action"] == "s3:ListBucket":
                    del statement["Condition"]
        return template

    patch.setattr(emulator, "settings", settings)
    patch.setattr(deployment, "adapted", without_prefixes)


def let_images_be_published(cloud: local.Cloud) -> None:
    """The emulator does not tell that the repository which CDK asks for is the one that this role is for."""
    publisher = f"cdk-hnb659fds-image-publishing-role-{emulator.ACCOUNT}-{emulator.REGION}"
    everything = "arn:aws:iam::aws:policy/AdministratorAccess"
    cloud.client("iam").attach_role_policy(RoleName=publisher, PolicyArn=everything)


@pytest.fixture(scope="session")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    home: Path = tmp_path_factory.mktemp("cloud") / "home"
    with pytest.MonkeyPatch.context() as patch:
        enforce(patch)
        with local.running(print, packaging="image", home=home) as cloud:
            made = local_stack(cloud)
            _let_alarms_be_described(made)
            yield made


def _let_alarms_be_described(stack: Stack) -> None:
    """On AWS a list of alarms is asked of `alarm:*` of the account, which the role has; the emulator asks for all."""
    client, role = stack.client("iam"), roles(stack)["ConsoleApi"]
    names = client.list_role_policies(RoleName=role)["PolicyNames"]
    deployed = [client.get_role_policy(RoleName=role, PolicyName=name)["PolicyDocument"] for name in names]
    assert "cloudwatch:DescribeAlarms" in json.dumps(deployed)
    grant = {"Effect": "Allow", "Action": "cloudwatch:DescribeAlarms", "Resource": "*"}
    client.put_role_policy(
        RoleName=role,
        PolicyName="alarms",
        PolicyDocument=json.dumps({"Version": "2012-10-17", "Statement": [grant]}),
    )
