"""`trefoil cost`: what a day of these volumes costs, from GB-seconds that were measured and dated prices."""

from itertools import pairwise
from typing import Annotated, Any, Final

import typer

from cli.console import Json, say, table
from infra.prices import PRICES

# Rides, GB-seconds and parts of a day: run rows of `make demo` and `make load`, on two cores that three calls share.
# Between them, and beyond, the cost is on a straight line.
MEASURED: Final = ((0, 0.0, 0.0), (20_000, 8.1, 1.0), (1_000_000, 32.3, 2.0), (10_000_000, 1_014.7, 9.0))
# GB-seconds, 2026-11: run rows of `make demo`; a batch of 1,000 in `make load`; an answer in `make bench`, with
# one call of a hundred on a cold start.
SERIES, CLASSIFIER, THOUSAND_MESSAGES, CALL = 1.67, 44.7, 3.1, 0.04
# A scoring call with one message, warm: it puts one object, and its two counts are written at the size of their rows.
SCORING, COUNTS = 0.08, 4
BATCH, TRACED_A_SECOND, TRACED_SHARE, LOGGED_GB = 1_000, 1, 0.05, 1e-6
# An event source has five pollers, and each gathers for the window from its first message on.
POLLERS, WINDOW, METRIC_HOURS = 5, 5, 730
# Hours a day in which each metric is sent: of a run and of a check once, of events and of the watch every hour.
HOURS = {"rides": 5 * 1, "forecasts": 3 / 7, "messages": 6 * 24 + 4 * 1}


def labelled(rides: int) -> tuple[float, float]:
    """GB-seconds and parts of a day of so many rides."""
    pairs = list(pairwise(MEASURED))
    (few, *low), (many, *high) = next((pair for pair in pairs if rides <= pair[1][0]), pairs[-1])
    share = (rides - few) / (many - few)
    gb_seconds, parts = (a + share * (b - a) for a, b in zip(low, high, strict=True))
    return gb_seconds, parts


def day(rides: int, series: int, calls: int, messages: int) -> dict[str, float]:
    """Dollars by leaf: functions, what calls them, and what they read and write; storage apart.

    A series is trained once a week, when it has changed. Messages come evenly, which makes the most calls; each
    replaces its user's result, which is one write and two of the index.
    """
    gb_second, request = PRICES["GB-second of Lambda"], PRICES["million Lambda requests"] / 1e6

    def millions(**counts: float) -> float:
        return sum(count / 1e6 * PRICES[f"million {name.replace('_', ' ')}"] for name, count in counts.items())

    def invoked(calls: float) -> float:
        traces = min(calls, 86_400 * TRACED_A_SECOND) + TRACED_SHARE * max(0, calls - 86_400 * TRACED_A_SECOND)
        return calls * (request + LOGGED_GB * PRICES["GB of logs"]) + millions(traces=traces)

    apart = 86_400 * POLLERS / max(messages, 1)
    batches, weekly = max(messages / BATCH, 86_400 * POLLERS / (apart + WINDOW)), series / 7
    gb_seconds, parts = labelled(rides)
    labelling = gb_seconds * gb_second + invoked(2 + parts)
    labelling += millions(state_transitions=8 + 4 * parts, S3_writes=6 + 3 * parts)
    training = weekly * SERIES * gb_second + millions(S3_writes=2 * weekly, S3_reads=2 * weekly)
    answers = calls * CALL * gb_second + invoked(calls)
    answers += millions(HTTP_API_calls=calls, DynamoDB_reads=3 * calls, S3_reads=calls)
    scored = batches * SCORING + messages / 1_000 * THOUSAND_MESSAGES + CLASSIFIER / 7
    scoring = scored * gb_second + invoked(batches + 24)
    scoring += millions(
        SQS_requests=messages + 2 * max(batches, messages / 10),
        DynamoDB_writes=3 * messages + COUNTS * batches,
        S3_writes=batches,
    )
    spent = {"rides": labelling, "forecasts": training + answers, "messages": scoring}
    metric = PRICES["month of a custom metric"] / METRIC_HOURS
    return {leaf: dollars + HOURS[leaf] * metric for leaf, dollars in spent.items()}


def cost(
    rides: Annotated[int, typer.Option(min=0, help="rides of a day")] = 0,
    series: Annotated[int, typer.Option(min=0, help="series, each trained once a week")] = 0,
    messages: Annotated[int, typer.Option(min=0, help="messages of a day")] = 0,
    calls: Annotated[int | None, typer.Option(min=0, help="API calls of a day; else ten for each series")] = None,
    json_output: Json = False,
) -> dict[str, Any]:
    """Say in dollars what a day of these volumes costs, before anything is deployed; storage apart."""
    spent = day(rides, series, 10 * series if calls is None else calls, messages)
    shown = table("leaf", "dollars a day", "dollars a month")
    for name, dollars in [*spent.items(), ("in all", sum(spent.values()))]:
        shown.add_row(name, f"{dollars:.4f}", f"{30 * dollars:.2f}")
    say(shown)
    say("US East, November 2026, nothing free deducted; docs/cost.md has the idle month and what storage costs")
    return {"day": spent, "in_all": sum(spent.values())}
