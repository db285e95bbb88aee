"""What the stack costs in a month in which nobody uses it, from the synthesised templates and a dated price table."""

import re
from collections import Counter

from aws_cdk.assertions import Template

from tests.conftest import ROOT
from tests.infrastructure.test_stacks import templates

# US East (N. Virginia), 2026-11, US dollars; free are only quantities that stay free after the first year.
PRICES = {
    "GB-second of Lambda": 0.0000166667,
    "million Lambda requests": 0.20,
    "GB-month in ECR": 0.10,
    "alarm beyond 10": 0.10,
    "dashboard beyond 3": 3.00,
    "custom metric beyond 10": 0.30,
    "SnapStart, GB-month": 3.90,
    "KMS key": 1.00,
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
NIGHTLY_CALLS, NIGHTLY_SECONDS = 30, 5.0


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
        "nightly fit of a day without rides": nightly * PRICES["GB-second of Lambda"],
        "Lambda requests": calls * PRICES["million Lambda requests"],
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


def test_the_readme_itemises_it() -> None:
    found = re.search(r"<!-- idle-cost -->\n(.*?)\n<!-- end -->", (ROOT / "README.md").read_text(), re.S)
    assert found, "the README has no idle-cost section"
    assert found.group(1) == table(), "run: python -m tests.infrastructure.test_cost"


if __name__ == "__main__":
    readme = ROOT / "README.md"
    section = r"(<!-- idle-cost -->\n).*?(<!-- end -->)"
    readme.write_text(re.sub(section, lambda m: f"{m[1]}{table()}\n{m[2]}", readme.read_text(), count=1, flags=re.S))
