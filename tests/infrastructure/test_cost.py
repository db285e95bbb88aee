"""What the stack costs in a month in which nobody uses it and on days of three volumes, from the synthesised templates,
measured GB-seconds and a dated price table."""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

import pytest
from aws_cdk.assertions import Template

from functions.classification.contracts import Result
from infra.dashboard import GB_SECOND
from tests.documents import PROSE, section, write
from tests.templates import templates

# US East (N. Virginia), 2026-11, US dollars. Of an idle month, free are only quantities that stay free after the first
# year; a day's cost leaves no free quantity out.
PRICES = {
    "GB-second of Lambda": GB_SECOND["x86_64"],
    "million Lambda requests": 0.20,
    "GB-month in ECR": 0.10,
    "alarm beyond 10": 0.10,
    "dashboard beyond 3": 3.00,
    "SnapStart, GB-month": 3.90,
    "KMS key": 1.00,
    "million HTTP API calls": 1.00,
    "million state transitions": 25.0,
    "million SQS requests": 0.40,
    "million DynamoDB writes": 0.625,
    "million DynamoDB reads": 0.125,
    "million S3 writes": 5.0,
    "million S3 reads": 0.40,
    "GB of logs": 0.50,
    "million traces": 5.0,
    "GB-month in DynamoDB": 0.25,
    "GB-month that can be recovered": 0.20,  # point-in-time recovery, of the table and not of its indexes
    "month of a custom metric": 0.30,  # by the hour, and only hours in which it is sent
}
# Types that cost nothing while nobody uses them: by request, by byte stored, or always free.
IDLE_FREE = {
    "AWS::ApiGatewayV2::Api", "AWS::ApiGatewayV2::Authorizer", "AWS::ApiGatewayV2::Integration",
    "AWS::ApiGatewayV2::Route", "AWS::ApiGatewayV2::Stage", "AWS::Athena::NamedQuery", "AWS::Athena::WorkGroup",
    "AWS::CDK::Metadata", "AWS::CloudWatch::Alarm", "AWS::CloudWatch::Dashboard", "AWS::Cognito::UserPool",
    "AWS::Cognito::UserPoolClient", "AWS::DynamoDB::GlobalTable", "AWS::Events::Rule", "AWS::Glue::Database",
    "AWS::Glue::Table", "AWS::IAM::Policy", "AWS::IAM::Role", "AWS::Lambda::EventInvokeConfig",
    "AWS::Lambda::EventSourceMapping", "AWS::Lambda::Function", "AWS::Lambda::Permission", "AWS::Logs::LogGroup",
    "AWS::S3::Bucket", "AWS::S3::BucketPolicy", "AWS::SNS::Topic", "AWS::SNS::TopicPolicy", "AWS::SQS::Queue",
    "AWS::SQS::QueuePolicy", "AWS::Scheduler::Schedule", "AWS::StepFunctions::StateMachine",
}  # fmt: skip
IMAGES_GB = 1.0  # the four images compressed, as ECR stores and bills them
WATCH_CALLS, WATCH_SECONDS = 24 * 30, 2.0
WATCH_WRITES = 3  # requests of an hour at the price of writes: one listing of outcomes, and the report twice
NIGHTLY_CALLS, NIGHTLY_SECONDS = 30, 5.0
# An event source keeps five long polls of 20 s open on an empty queue; a million requests a month stay free.
POLLS, FREE_POLLS = 5 * 3 * 60 * 24 * 30, 1_000_000
IDLE_METRIC_HOURS = 2 * 30  # an idle day and a day that adds up are told once a day; ten metrics stay free


@dataclass(frozen=True)
class Day:
    """A day's volume, and the GB-seconds that its rides took."""

    rides: int
    rides_gb_seconds: float
    parts: int
    series: int
    calls: int
    messages: int


# Rides: run rows of `make demo` and `make load` (1,000,000 and 10,000,000 rides), on two cores that three calls share.
DAYS = {
    "small": Day(20_000, 8.1, 1, 50, 100, 1_000),
    "medium": Day(1_000_000, 32.3, 2, 1_000, 10_000, 100_000),
    "large": Day(10_000_000, 1_014.7, 9, 10_000, 100_000, 1_000_000),
}
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


def day(volume: Day) -> dict[str, float]:
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

    apart = 86_400 * POLLERS / volume.messages
    batches, weekly = max(volume.messages / BATCH, 86_400 * POLLERS / (apart + WINDOW)), volume.series / 7
    labelling = volume.rides_gb_seconds * gb_second + invoked(2 + volume.parts)
    labelling += millions(state_transitions=8 + 4 * volume.parts, S3_writes=6 + 3 * volume.parts)
    training = weekly * SERIES * gb_second + millions(S3_writes=2 * weekly, S3_reads=2 * weekly)
    answers = volume.calls * CALL * gb_second + invoked(volume.calls)
    answers += millions(HTTP_API_calls=volume.calls, DynamoDB_reads=2 * volume.calls, S3_reads=volume.calls)
    scored = batches * SCORING + volume.messages / 1_000 * THOUSAND_MESSAGES + CLASSIFIER / 7
    scoring = scored * gb_second + invoked(batches + 24)
    scoring += millions(
        SQS_requests=volume.messages + 2 * max(batches, volume.messages / 10),
        DynamoDB_writes=3 * volume.messages + COUNTS * batches,
        S3_writes=batches,
    )
    spent = {"rides": labelling, "forecasts": training + answers, "messages": scoring}
    metric = PRICES["month of a custom metric"] / METRIC_HOURS
    return {leaf: dollars + HOURS[leaf] * metric for leaf, dollars in spent.items()}


def results_month(users: int = 1_000_000) -> tuple[float, float]:
    """GB and dollars a month of the newest result of each user: in the table, in its index, and recoverable."""
    result = Result(
        user_id="u" * 16, observed_at="t" * 27, event_id="e" * 36, probability=0.123456789012345, segment="nurture",
        model_version="v" * 16, classified_at="t" * 27, expires_at=2_000_000_000,
    )  # fmt: skip
    item = result.model_dump() | {"segment_shard": "nurture#12"}
    size = sum(len(name) + (len(value) if isinstance(value, str) else 9) for name, value in item.items())
    stored, index = (users * (size + overhead) / 1e9 for overhead in (0, 100))
    dollars = (stored + index) * PRICES["GB-month in DynamoDB"] + stored * PRICES["GB-month that can be recovered"]
    return stored + index, dollars


def storage_sentence() -> str:
    """What a million results cost, as the README says it."""
    size, dollars = results_month()
    return f"a million results are {size:.1f} GB with their index, ${dollars:.2f} a month"


def day_table() -> str:
    """The README's table of days."""
    rows = ["| day | rides | series, API calls | messages | in all |", "|---|---|---|---|---|"]
    for name, volume in DAYS.items():
        rides, forecasts, messages = day(volume).values()
        cells = [
            f"{name} | {volume.rides:,}: {rides:.4f} | {volume.series:,}, {volume.calls:,}: {forecasts:.4f}",
            f"{volume.messages:,}: {messages:.4f} | **{rides + forecasts + messages:.4f}**",
        ]
        rows.append(f"| {' | '.join(cells)} |")
    return "\n".join(rows)


def idle_month() -> dict[str, float]:
    """Dollars by item."""
    data, service = templates()
    kinds: Counter[str] = Counter()
    for template in (data, service):
        kinds.update(resource["Type"] for resource in template.to_json()["Resources"].values())
    assert set(kinds) <= IDLE_FREE, f"no idle price is known for {set(kinds) - IDLE_FREE}"
    watch = WATCH_CALLS * WATCH_SECONDS * _memory(service, "watch")
    nightly = NIGHTLY_CALLS * NIGHTLY_SECONDS * _memory(service, "fit")
    calls = (WATCH_CALLS + NIGHTLY_CALLS) / 1e6
    return {
        "images in ECR": IMAGES_GB * PRICES["GB-month in ECR"],
        "hourly watch": watch * PRICES["GB-second of Lambda"],
        "listing and report of the watch": WATCH_CALLS * WATCH_WRITES / 1e6 * PRICES["million S3 writes"],
        "nightly fit of a day without rides": nightly * PRICES["GB-second of Lambda"],
        "Lambda requests": calls * PRICES["million Lambda requests"],
        "polls of the empty queue": max(0, POLLS - FREE_POLLS) / 1e6 * PRICES["million SQS requests"],
        "custom metrics": max(0, IDLE_METRIC_HOURS / METRIC_HOURS - 10) * PRICES["month of a custom metric"],
        "alarms": max(0, kinds["AWS::CloudWatch::Alarm"] - 10) * PRICES["alarm beyond 10"],
        "dashboards": max(0, kinds["AWS::CloudWatch::Dashboard"] - 3) * PRICES["dashboard beyond 3"],
        "keys": kinds["AWS::KMS::Key"] * PRICES["KMS key"],
    }


def _memory(service: Template, entry: str) -> float:
    return next(
        function["Properties"]["MemorySize"] / 1024
        for function in service.find_resources("AWS::Lambda::Function").values()
        if function["Properties"]["ImageConfig"]["Command"][0].endswith(f".{entry}")
    )


def table() -> str:
    month = idle_month()
    rows = [f"| {item} | {dollars:.2f} |" for item, dollars in month.items()]
    total = f"| **in all** | **{sum(month.values()):.2f}** |"
    return "\n".join(["| item | dollars a month |", "|---|---|", *rows, total])


def test_an_idle_month_costs_less_than_a_dollar() -> None:
    assert 0 < sum(idle_month().values()) < 1


def test_a_small_day_costs_cents() -> None:
    assert 0 < sum(day(DAYS["small"]).values()) < 0.10


def test_the_readme_says_what_results_cost_with_their_index_and_their_recovery() -> None:
    text = PROSE
    assert storage_sentence() in text
    assert f"${PRICES['GB-month that can be recovered']:.2f}" in text


@pytest.mark.parametrize(("name", "wanted"), [("idle-cost", table), ("day-cost", day_table)])
def test_the_documents_itemise_it(name: str, wanted: Callable[[], str]) -> None:
    assert section(name) == wanted(), "run: python -m tests.infrastructure.test_cost"


if __name__ == "__main__":
    write("idle-cost", table())
    write("day-cost", day_table())
