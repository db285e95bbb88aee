"""What the stack costs in a month in which nobody uses it and on days of three volumes, from the synthesised templates,
measured GB-seconds and a dated price table."""

from collections import Counter
from collections.abc import Callable

import pytest
from aws_cdk.assertions import Template

from cli.cost import METRIC_HOURS, day
from cli.main import app
from functions.classification.contracts import Result
from infra.prices import PRICES
from tests.documents import PROSE, section, write
from tests.templates import templates

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
IMAGES_GB = 1.0  # the five images compressed, as ECR stores and bills them
WATCH_CALLS, WATCH_SECONDS = 24 * 30, 2.0
WATCH_WRITES = 3  # requests of an hour at the price of writes: one listing of outcomes, and the report twice
NIGHTLY_CALLS, NIGHTLY_SECONDS = 30, 5.0
# An event source keeps five long polls of 20 s open on an empty queue; a million requests a month stay free.
POLLS, FREE_POLLS = 5 * 3 * 60 * 24 * 30, 1_000_000
IDLE_METRIC_HOURS = 2 * 30  # an idle day and a day that adds up are told once a day; ten metrics stay free


VOLUMES = ("rides", "series", "calls", "messages")
DAYS = {
    "small": (20_000, 50, 100, 1_000),
    "medium": (1_000_000, 1_000, 10_000, 100_000),
    "large": (10_000_000, 10_000, 100_000, 1_000_000),
}


def results_month(users: int = 1_000_000) -> tuple[float, float]:
    """GB and dollars a month of the newest result of each user: in the table, in its index, and recoverable."""
    result = Result(
        user_id="u" * 16, observed_at="t" * 27, event_id="e" * 36, probability=0.123456789012345, segment="nurture",
        model_version="v" * 16, classified_at="t" * 27, expires_at=2_000_000_000,
    )  # fmt: skip
    item = result.model_dump(exclude_none=True) | {"segment_shard": "nurture#12"}
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
        rides, forecasts, messages = day(*volume).values()
        cells = [
            f"{name} | {volume[0]:,}: {rides:.4f} | {volume[1]:,}, {volume[2]:,}: {forecasts:.4f}",
            f"{volume[3]:,}: {messages:.4f} | **{rides + forecasts + messages:.4f}**",
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
    assert 0 < sum(day(*DAYS["small"]).values()) < 0.10


def test_the_readme_says_what_results_cost_with_their_index_and_their_recovery() -> None:
    text = PROSE
    assert storage_sentence() in text
    assert f"${PRICES['GB-month that can be recovered']:.2f}" in text


@pytest.mark.parametrize("volume", DAYS.values())
def test_the_command_says_what_the_table_says(volume: tuple[int, ...], capsys: pytest.CaptureFixture[str]) -> None:
    words = [word for name, value in zip(VOLUMES, volume, strict=True) for word in (f"--{name}", str(value))]
    assert app(["cost", *words], standalone_mode=False)["day"] == day(*volume)
    assert f"{sum(day(*volume).values()):.4f}" in capsys.readouterr().out


def test_more_of_anything_costs_more_and_nothing_costs_next_to_nothing() -> None:
    nothing = sum(day(0, 0, 0, 0).values())
    assert 0 < nothing < 0.10
    for more in ({"rides": 50_000_000}, {"rides": 500_000}, {"series": 7}, {"calls": 100}, {"messages": 5_000}):
        assert sum(day(**dict.fromkeys(VOLUMES, 0) | more).values()) > nothing


@pytest.mark.parametrize(("name", "wanted"), [("idle-cost", table), ("day-cost", day_table)])
def test_the_documents_itemise_it(name: str, wanted: Callable[[], str]) -> None:
    assert section(name) == wanted(), "run: python -m tests.infrastructure.test_cost"


if __name__ == "__main__":
    write("idle-cost", table())
    write("day-cost", day_table())
