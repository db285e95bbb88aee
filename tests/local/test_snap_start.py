"""A snapshot costs money for as long as its version exists: a deployment leaves one version, behind the alias."""

import subprocess
import sys
from pathlib import Path

from cli.stack import Stack
from infra.local import cloud as local
from tests.conftest import ROOT

APP = """
import sys
from pathlib import Path
from aws_cdk import App, Duration, Stack
from infra import image_function
from infra.settings import DeploySettings

image_function.ROOT = Path(sys.argv[1])
app = App()
stack = Stack(app, "snapped")
image_function.ImageFunction(
    stack, "Api", handler="functions.tiny.answer", group="tiny", memory_mb=128,
    timeout=Duration.seconds(10), environment={}, deploy=DeploySettings(packaging="source"), snap_start=True,
)
app.synth()
"""


def deploy(stack: Stack, folder: Path, answer: int) -> str:
    """Deploy a function that answers so; returns its name."""
    (folder / "tree/functions/tiny").mkdir(parents=True, exist_ok=True)
    (folder / "tree/functions/__init__.py").touch()
    (folder / "tree/functions/tiny/__init__.py").write_text(f"def answer(event, context):\n    return {answer}\n")
    (folder / "app.py").write_text(APP)
    command = [str(ROOT / "node_modules/.bin/cdk"), "deploy", "--require-approval", "never"]
    command += ["--app", f"{sys.executable} app.py tree"]
    environment = local.environment(stack.endpoint or "")
    done = subprocess.run(
        command, env=environment, cwd=folder, capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    found = stack.client("cloudformation").list_stack_resources(StackName="snapped")["StackResourceSummaries"]
    return next(str(one["PhysicalResourceId"]) for one in found if one["ResourceType"] == "AWS::Lambda::Function")


def test_a_deployment_with_other_code_leaves_one_version_which_the_alias_calls(stack: Stack, tmp_path: Path) -> None:
    functions, seen = stack.client("lambda"), []
    for answer in (1, 2):
        name = deploy(stack, tmp_path, answer)
        versions = functions.list_versions_by_function(FunctionName=name)["Versions"]
        seen.append([one["Version"] for one in versions if one["Version"] != "$LATEST"])
        assert [functions.get_alias(FunctionName=name, Name="live")["FunctionVersion"]] == seen[-1]
        waiter = functions.get_waiter("published_version_active")
        waiter.wait(FunctionName=name, Qualifier="live", WaiterConfig={"Delay": 1, "MaxAttempts": 60})
        called = functions.invoke(FunctionName=name, Qualifier="live")
        assert called["Payload"].read() == str(answer).encode()
    assert len(seen[1]) == 1
    assert seen[0] != seen[1]
