"""The only construct that makes a Lambda: a leaf's code in an image (or as source), with its own role and logs."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, Literal

from aws_cdk import Acknowledgment, Duration, IgnoreMode, RemovalPolicy, Validations
from aws_cdk import aws_ecr_assets as ecr_assets
from aws_cdk import aws_iam as iam
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_logs as logs
from constructs import Construct

Packaging = Literal["image", "source"]
Architecture = Literal["x86_64", "arm64"]

ROOT = Path(__file__).resolve().parents[1]

ARCHITECTURES: Final = {
    "x86_64": (lambda_.Architecture.X86_64, ecr_assets.Platform.LINUX_AMD64),
    "arm64": (lambda_.Architecture.ARM_64, ecr_assets.Platform.LINUX_ARM64),
}

# Packages that a group asks for only through another package, and does without.
PRUNED: Final = {"forecasting": "matplotlib"}


class ImageFunction(Construct):
    """`function` is the Lambda; `target` is what triggers call: the function, or its alias when SnapStart is on."""

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        leaf: str,
        handler: str,
        group: str,
        memory_mb: int,
        timeout: Duration,
        environment: Mapping[str, str],
        packaging: Packaging = "image",
        architecture: Architecture = "x86_64",
        snap_start: bool = False,
        log_retention: logs.RetentionDays = logs.RetentionDays.ONE_MONTH,
    ) -> None:
        """`leaf` is a folder of `functions`, `handler` an import path, `group` the dependency group of the image."""
        super().__init__(scope, construct_id)
        self.log_group = logs.LogGroup(self, "Logs", retention=log_retention, removal_policy=RemovalPolicy.DESTROY)
        self.role = iam.Role(self, "Role", assumed_by=iam.ServicePrincipal("lambda.amazonaws.com"))
        self.log_group.grant_write(self.role)
        code = image_code(leaf, handler, group, architecture) if packaging == "image" else source_code(leaf, handler)
        self.function = lambda_.Function(
            self,
            "Function",
            **code,
            architecture=ARCHITECTURES[architecture][0],
            memory_size=memory_mb,
            timeout=timeout,
            environment=dict(environment),
            role=self.role,
            log_group=self.log_group,
            tracing=lambda_.Tracing.ACTIVE,
            snap_start=lambda_.SnapStartConf.ON_PUBLISHED_VERSIONS if snap_start else None,
            # A snapshot costs money for as long as its version exists.
            current_version_options=lambda_.VersionOptions(removal_policy=RemovalPolicy.DESTROY),
        )
        self.memory_mb = memory_mb
        self.target: lambda_.IFunction = self.function
        if snap_start:
            self.target = lambda_.Alias(self, "Live", alias_name="live", version=self.function.current_version)
        Validations.of(self.role).acknowledge(
            Acknowledgment(
                id="AwsSolutions-IAM5[Resource::*]",
                reason="X-Ray's PutTraceSegments and PutTelemetryRecords cannot be limited to a resource.",
            )
        )
        if packaging == "source":
            Validations.of(self.function).acknowledge(
                Acknowledgment(id="AwsSolutions-L1", reason="The local cloud runs source in its own interpreter.")
            )


def context_excludes(leaf: str) -> list[str]:
    """Docker ignore patterns that leave exactly what `leaf` runs on: an allow-list.

    A file outside it changes no asset hash, so editing one leaf rebuilds and redeploys that leaf alone.
    """
    allowed = ["functions/__init__.py", f"functions/{leaf}", "layers", "pyproject.toml", "uv.lock"]
    return ["*", *(f"!{path}" for path in allowed), "**/__pycache__", "**/*.md"]


def image_code(leaf: str, handler: str, group: str, architecture: Architecture) -> dict[str, Any]:
    """Arguments of a function whose code is an image; the same leaf and group make one image for many handlers."""
    code = lambda_.Code.from_asset_image(
        str(ROOT),
        file="layers/Dockerfile",
        exclude=context_excludes(leaf),
        ignore_mode=IgnoreMode.DOCKER,
        build_args={"GROUP": group, "PRUNE": PRUNED.get(group, ""), "MODULE": handler.rpartition(".")[0]},
        platform=ARCHITECTURES[architecture][1],
        cmd=[handler],
    )
    return {"code": code, "handler": lambda_.Handler.FROM_IMAGE, "runtime": lambda_.Runtime.FROM_IMAGE}


def source_code(leaf: str, handler: str) -> dict[str, Any]:
    """Arguments of a function that the local cloud runs in its own interpreter, which has every dependency."""
    code = lambda_.Code.from_asset(str(ROOT), exclude=context_excludes(leaf), ignore_mode=IgnoreMode.DOCKER)
    return {"code": code, "handler": handler, "runtime": lambda_.Runtime.PYTHON_3_13}
