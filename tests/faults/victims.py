"""Handlers in processes that can be killed: forked from one that has imported everything, clients made in the child."""

import json
import multiprocessing
import os
import tempfile
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from typing import Any

import boto3

from tests.context import Context

READS = ("Get", "Head", "List", "Query", "Scan", "Describe", "Receive")
KILLED = 9
# What comes after a plan, on each state machine.
NEXT = {
    "functions.clustering.handler.fit": ("functions.clustering.handler.label", "functions.clustering.handler.publish"),
    "functions.forecasting.handler.plan": (
        "functions.forecasting.handler.train",
        "functions.forecasting.handler.publish",
    ),
}
Call = tuple[str, dict[str, Any]]


@dataclass
class Death:
    """Ends the process before the n-th call that changes something, right after it, or before it answers."""

    before: int = 0
    after: int = 0
    at_end: bool = False
    sent: int = field(default=0, init=False)
    answered: int = field(default=0, init=False)

    def watch(self) -> None:
        events = boto3.DEFAULT_SESSION.events  # of tests/faults/warm.py; clients are made from it
        events.register("before-send", self._sending)
        events.register("after-call", self._answered)

    def _sending(self, event_name: str, **_: Any) -> None:
        if _changes(event_name):
            self.sent += 1
            if self.sent == self.before:
                os._exit(KILLED)

    def _answered(self, event_name: str, **_: Any) -> None:
        if _changes(event_name):
            self.answered += 1
            if self.answered == self.after:
                os._exit(KILLED)


def _changes(event_name: str) -> bool:
    return not event_name.rpartition(".")[2].startswith(READS)


def _live(calls: list[Call], follow: bool, death: Death, context: Context, env: dict[str, str], out: str) -> None:
    os.environ.update(env)
    log = os.open(f"{out}.log", os.O_CREAT | os.O_WRONLY)
    os.dup2(log, 1)
    os.dup2(log, 2)
    death.watch()
    queue, answers = list(calls), []
    while queue:
        path, event = queue.pop(0)
        module, _, name = path.rpartition(".")
        answer = getattr(import_module(module), name)(event, context)
        if death.at_end:
            os._exit(KILLED)
        answers.append(answer)
        if follow and path in NEXT and answer["status"] == "planned":
            work, publish = NEXT[path]
            plan = boto3.client("s3").get_object(Bucket=answer["plan_bucket"], Key=answer["plan_key"])["Body"].read()
            queue += [(work, item) for item in json.loads(plan)] + [(publish, answer)]
    Path(out).write_text(json.dumps({"answers": answers}))


_context = multiprocessing.get_context("forkserver")
_context.set_forkserver_preload(["tests.faults.warm"])


def live(
    calls: list[Call],
    env: dict[str, str],
    *,
    follow: bool = False,
    death: Death | None = None,
    context: Context | None = None,
) -> dict[str, Any] | None:
    """Make these calls in a process; with `follow` a plan is carried out as well. None when the process was killed."""
    with tempfile.TemporaryDirectory() as folder:
        out = f"{folder}/out.json"
        arguments = (calls, follow, death or Death(), context or Context(), env, out)
        process = _context.Process(target=_live, args=arguments)
        process.start()
        process.join(600)
        if process.exitcode is None:
            process.kill()
            raise TimeoutError(f"{calls} do not end")
        if process.exitcode == KILLED:
            return None
        assert process.exitcode == 0, Path(f"{out}.log").read_text()[-3000:]
        found: dict[str, Any] = json.loads(Path(out).read_text())
        return found
