"""Errors in AWS's wire format between the functions and the cloud, at 1 %, at 10 %, and as an outage."""

import json
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from layers.runtime.errors import TrefoilError
from tests.faults.conftest import Site
from tests.faults.leaves import NOTHING, expire_leases
from tests.faults.proxy import Rule
from tests.tally import QUICK, Tally

# Beyond the time that the SDK waits for an answer.
HANGS_MS = 2_500
KINDS: dict[str, list[Rule]] = {
    "throttling": [
        {"service": "dynamodb", "error": {"code": "ProvisionedThroughputExceededException"}},
        {"service": "s3", "error": {"code": "SlowDown", "status": 503}},
        {"service": "sqs", "error": {"code": "ThrottlingException", "status": 400}},
        {"service": "lambda", "error": {"code": "TooManyRequestsException", "status": 429}},
    ],
    "5xx": [{"service": "*", "error": {"code": "InternalServerError", "status": 500}}],
    "slow answers": [{"service": "*", "latency": HANGS_MS}],
    "resets": [{"service": "*", "reset": True}],
    "cut uploads": [{"service": "*", "request": {"cut_upload": {"after_bytes": 64}}}],
    "cut answers": [{"service": "*", "response": {"abort_frac": 0.5}}],
}
RATES = {"1 %": 99, "10 %": 9}
OUTAGE_S = 4 if QUICK else 15


def at(rate: str, *kinds: str) -> list[Rule]:
    """Rules of these kinds; exactly every hundredth or tenth call that each can meet, or all of them for a time."""
    begins = time.time() + 1  # in the middle of what is then under way
    outage = {"active_at": begins, "until": begins + OUTAGE_S}
    how = outage if rate == "outage" else {"sequence": {"fail": 1, "pass": RATES[rate]}}
    return [rule | how for kind in kinds for rule in KINDS[kind]]


# The quick form mixes all kinds at a rate; outages are of one kind always.
SCENARIOS = [(tuple(KINDS), rate) for rate in RATES] if QUICK else [((kind,), rate) for kind in KINDS for rate in RATES]
SCENARIOS += [((kind,), "outage") for kind in KINDS]


def attempt(leaf: Any) -> str:
    """Trigger once; how it failed, if it did."""
    try:
        leaf.trigger()
    except (TrefoilError, AssertionError) as exc:
        return type(exc).__name__
    return ""


@pytest.mark.parametrize(("kinds", "rate"), SCENARIOS, ids=[f"{'+'.join(k)} at {r}" for k, r in SCENARIOS])
def test_no_fault_on_the_wire_loses_or_doubles_anything(
    site: Site, tally: Tally, kinds: tuple[str, ...], rate: str
) -> None:
    leaves, before = site.leaves(), site.reached()
    rules = at(rate, *kinds)
    site.proxy.inject(rules)
    with ThreadPoolExecutor(len(leaves)) as pool:
        failed = [end for end in pool.map(attempt, leaves) if end]
    fired = site.proxy.fired()
    site.proxy.heal()
    reached = site.reached() - before
    left = expire_leases(site.stack)
    with ThreadPoolExecutor(len(leaves)) as pool:
        list(pool.map(lambda leaf: leaf.trigger(), leaves))
    count = sum((leaf.check() for leaf in leaves), NOTHING)
    where = Counter(f"{one['service']} {one['operation']}" for one in fired)
    print(json.dumps(where), failed, left)
    count.tell(
        tally,
        "Faults on the wire",
        injected=f"{', '.join(kinds)} {rate}",
        where=", ".join(f"{service} {n}" for service, n in Counter(o["service"] for o in fired).most_common()),
        times=len(fired),
        past_the_SDK=reached,
        runs_failed=len(failed),
    )
    assert fired
    assert all(any(action in one["action"] for one in fired) for action in actions(kinds))


def actions(kinds: tuple[str, ...]) -> list[str]:
    """A word of the log for each kind."""
    words = {
        "throttling": "SlowDown",
        "5xx": "InternalServerError",
        "slow answers": "latency",
        "resets": "reset",
        "cut uploads": "upload",
        "cut answers": "abort",
    }
    return [words[kind] for kind in kinds]
