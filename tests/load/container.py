"""A container of a deployed function: a process with its environment and its real adapters.

The emulator's own workers are not given a batch of a thousand, nor all released at the same moment.
"""

import json
import os
import subprocess
import sys
from importlib import import_module
from pathlib import Path
from typing import Any

import psutil

from tests.context import Context


class Container:
    """Handles events as Lambda would: one at a time, warm after the first. `variables` go over the function's own."""

    def __init__(self, stack: Any, function: str, log: Path, **variables: str) -> None:
        from infra.local.cloud import ROOT, environment

        config = stack.client("lambda").get_function_configuration(FunctionName=stack.outputs[function])
        self.log = log
        with log.open("w") as errors:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "tests.load.container", config["Handler"], str(config["Timeout"])],
                env=environment(stack.endpoint)
                | config["Environment"]["Variables"]
                | {"AWS_LAMBDA_FUNCTION_MEMORY_SIZE": str(config["MemorySize"]), "OMP_NUM_THREADS": "1"}
                | variables,
                cwd=ROOT,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                text=True,
            )
        self._seen = psutil.Process(self._process.pid)

    def give(self, event: dict[str, Any]) -> None:
        """Hand an event over without waiting."""
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(event) + "\n")
        self._process.stdin.flush()

    def take(self) -> Any:
        """What the handler returned for the event given before. Fails with the log when it raised."""
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        assert line, self.log.read_text()[-4000:]
        return json.loads(line)

    def __call__(self, event: dict[str, Any]) -> Any:
        """Answer of the handler."""
        self.give(event)
        return self.take()

    def rss(self) -> int:
        """Memory that the process holds, bytes."""
        return int(self._seen.memory_info().rss)

    def logged(self, message: str) -> list[dict[str, Any]]:
        """What it logged under `message`."""
        lines = [json.loads(line) for line in self.log.read_text().splitlines() if line.startswith("{")]
        return [line for line in lines if line.get("message") == message]

    def end(self) -> None:
        """End the process."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.kill()
        self._process.wait(10)
        self._process.stdin.close()
        self._process.stdout.close()


def serve(handler: str, seconds: float) -> None:
    """Answer events line by line; whatever the handler prints goes to stderr."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    module, _, name = handler.rpartition(".")
    function = getattr(import_module(module), name)
    for line in sys.stdin:
        answers.write(json.dumps(function(json.loads(line), Context(left_ms=int(seconds * 1000)))) + "\n")
        answers.flush()


if __name__ == "__main__":
    serve(sys.argv[1], float(sys.argv[2]))
