"""`trefoil smoke`: after a deployment, every trigger for real, with a small input that is removed again."""

from collections import Counter
from typing import Any, Final

from botocore.exceptions import BotoCoreError, ClientError

from cli.console import DONE, OUR_FAILURE, err, say, table
from cli.smoke.batches import RIDES_AND_SALES
from cli.smoke.operation import OPERATION
from cli.smoke.stream import MESSAGES
from cli.smoke.trial import NAME, Check, NotProvenError, Result, Trial, left, remove, require
from cli.stack import change
from layers.runtime.errors import TrefoilError

CHECKS: Final = (*RIDES_AND_SALES, *MESSAGES, *OPERATION)
WRONG: Final = ("short", "not run")


def smoke() -> tuple[dict[str, Any], int]:
    """Prove a deployed stack through its own triggers, in minutes and for cents; exit 1 and say where it fell short."""
    stack = change("smoke test")
    remove(stack)  # of a test that died
    trial = Trial(stack)
    try:
        rows = [_row(trial, check) for check in CHECKS]
    finally:
        err.print("[dim]removing what the test made ...[/]")
        remove(stack)
    rows.append(_row(trial, Check("cleaned up", _clean, f"names that begin with {NAME}; run it again")))
    shown = table("check", "result", "figure")
    for row in rows:
        shown.add_row(row["check"], row["result"], row["figure"])
    say(shown)
    wrong = [row for row in rows if row["result"] in WRONG]
    for row in wrong:
        say("{check} ({result}): {look}".format(**row))
    say(", ".join(f"{number} {result}" for result, number in Counter(row["result"] for row in rows).items()))
    return {"proven": not wrong, "checks": rows}, OUR_FAILURE if wrong else DONE


def _row(trial: Trial, check: Check) -> dict[str, str]:
    """One line of the table."""
    err.print(f"[dim]{check.name} ...[/]")
    result: Result = "ok"
    try:
        figure = check.prove(trial)
    except (TrefoilError, BotoCoreError, ClientError, OSError) as exc:
        result = exc.result if isinstance(exc, NotProvenError) else "short"
        figure = " ".join(str(exc).split())
    return {"check": check.name, "result": result, "figure": figure, "look": check.look}


def _clean(trial: Trial) -> str:
    rest = left(trial.stack)
    require(not rest, f"{len(rest)} objects are left, the first {rest[:1]}")
    return "nothing is left"
