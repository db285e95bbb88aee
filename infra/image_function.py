"""The only construct that makes a Lambda: a leaf's code in an image (or as source), with its own role and logs."""

from pathlib import Path
from typing import Any, Final

from aws_cdk import Duration, IgnoreMode, RemovalPolicy
from aws_cdk import aws_ecr_assets as ecr_assets
from aws_cdk import aws_iam as iam
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_logs as logs
from constructs import Construct

from infra.grants import acknowledge, acknowledge_wildcard
from infra.settings import DeploySettings

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
        deploy: DeploySettings,
        handler: str,
        group: str,
        memory_mb: int,
        timeout: Duration,
        environment: dict[str, str],
        snap_start: bool = False,
    ) -> None:
        """`handler` is an import path within the leaf's package, `group` the dependency group of the image."""
        super().__init__(scope, construct_id)
        self.memory_mb = memory_mb
        retention = logs.RetentionDays[deploy.log_retention]
        self.log_group = logs.LogGroup(self, "Logs", retention=retention, removal_policy=RemovalPolicy.DESTROY)
        self.role = iam.Role(self, "Role", assumed_by=iam.ServicePrincipal("lambda.amazonaws.com"))
        self.log_group.grant_write(self.role)
        architecture, platform = ARCHITECTURES[deploy.architecture]
        self.function = lambda_.Function(
            self,
            "Function",
            **_code(handler, group, platform if deploy.packaging == "image" else None),
            architecture=architecture,
            memory_size=memory_mb,
            timeout=timeout,
            environment=environment,
            role=self.role,
            log_group=self.log_group,
            tracing=lambda_.Tracing.ACTIVE,
            snap_start=lambda_.SnapStartConf.ON_PUBLISHED_VERSIONS if snap_start else None,
            # A snapshot costs money for as long as its version exists.
            current_version_options=lambda_.VersionOptions(removal_policy=RemovalPolicy.DESTROY),
        )
        self.target: lambda_.IFunction = self.function
        if snap_start:
            self.target = lambda_.Alias(self, "Live", alias_name="live", version=self.function.current_version)
        tracing = "X-Ray's PutTraceSegments and PutTelemetryRecords cannot be limited to a resource"
        acknowledge_wildcard(self.role, "Resource::*", tracing)
        if deploy.packaging == "source":
            acknowledge(self.function, L1="the local cloud runs source in its own interpreter")


def _code(handler: str, group: str, platform: ecr_assets.Platform | None) -> dict[str, Any]:
    """Arguments of a function: an image for the platform, or source, which the local cloud runs with all it has.

    What goes in is an allow-list, exactly what the handler's leaf runs on: a file outside it changes no asset hash, so
    editing one leaf rebuilds and redeploys that leaf alone. The same leaf and group make one image for many handlers.
    """
    root, leaf, *_ = handler.split(".")
    allowed = [f"{root}/__init__.py", f"{root}/{leaf}", "layers", "pyproject.toml", "uv.lock"]
    files: dict[str, Any] = {
        "exclude": ["*", *(f"!{path}" for path in allowed), "**/__pycache__", "**/*.md"],
        "ignore_mode": IgnoreMode.DOCKER,
    }
    if platform is None:
        code: lambda_.Code = lambda_.Code.from_asset(str(ROOT), **files)
        return {"code": code, "handler": handler, "runtime": lambda_.Runtime.PYTHON_3_13}
    code = lambda_.Code.from_asset_image(
        str(ROOT),
        **files,
        file="layers/Dockerfile",
        build_args={"GROUP": group, "PRUNE": PRUNED.get(group, ""), "ROOT": root, "MODULE": handler.rpartition(".")[0]},
        platform=platform,
        cmd=[handler],
    )
    return {"code": code, "handler": lambda_.Handler.FROM_IMAGE, "runtime": lambda_.Runtime.FROM_IMAGE}
