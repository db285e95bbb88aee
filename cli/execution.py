"""Start a state machine of the stack and wait for it."""

import json
import time
from typing import Any

from cli.stack import Stack
from layers.runtime.errors import UnavailableError


def start(stack: Stack, machine: str, event: dict[str, Any]) -> str:
    """Start the machine named by its output; returns the execution's ARN."""
    answer = stack.client("stepfunctions").start_execution(
        stateMachineArn=stack.outputs[machine], input=json.dumps(event)
    )
    return str(answer["executionArn"])


def finished(stack: Stack, execution: str, patience: float = 3600.0) -> dict[str, Any]:
    """Output of the execution once it has succeeded. Raises UnavailableError when it fails or takes too long, s."""
    end = time.monotonic() + patience
    while time.monotonic() < end:
        answer = stack.client("stepfunctions").describe_execution(executionArn=execution)
        if answer["status"] == "SUCCEEDED":
            return dict(json.loads(answer["output"]))
        if answer["status"] != "RUNNING":
            raise UnavailableError(f"{execution} {answer['status']}: {answer.get('error')}: {answer.get('cause')}")
        time.sleep(0.3)
    raise UnavailableError(f"{execution} still runs after {patience:.0f} s")
