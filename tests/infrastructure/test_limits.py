"""Each function's worst case fits what AWS allows it, and each metric that is watched is one that AWS has, whatever is
deployed: with images or source, SnapStart or not, on either processor, on a great stage."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
from aws_cdk.assertions import Template

from cli.doctor import PAGE_CALLS
from functions.clustering.domain.plan import ITEM_TEXT
from functions.forecasting.contracts import Shard
from functions.forecasting.settings import ForecastingSettings
from layers.runtime.observability import NAMESPACE
from tests.templates import resources, templates

STAGES: dict[str, dict[str, Any]] = {
    "images": {},
    "SnapStart": {"snap_start": True},
    "arm64": {"architecture": "arm64", "snap_start": True},
    "source": {"packaging": "source"},
    "great": {
        "map_concurrency": 1_000,
        "score_concurrency": 1_000,
        "ingest_concurrency": 100,
        "score_batch": 10_000,
        "score_window_s": 300,
        "timezone": "Asia/Tokyo",
        "alarm_email": "o@example.org",
    },
}
NEW_ACCOUNT = 10  # concurrent executions
STATE_BYTES = 256 * 1024  # what Step Functions hands to a state
GATEWAY_MS = 30_000
TRIES, LONGEST = 3, 900  # of a failing call in a state machine; of a function, s
# https://docs.aws.amazon.com: metrics by namespace, with the dimension that they are asked by and what it names.
KNOWN = {
    "AWS/Lambda": ({"Errors", "Throttles", "Duration"}, "FunctionName", "AWS::Lambda::Function"),
    "AWS/SQS": (
        {"ApproximateNumberOfMessagesVisible", "ApproximateAgeOfOldestMessage"},
        "QueueName",
        "AWS::SQS::Queue",
    ),
    "AWS/States": (
        {"ExecutionsFailed", "ExecutionsTimedOut", "ExecutionsAborted"},
        "StateMachineArn",
        "AWS::StepFunctions::StateMachine",
    ),
    "AWS/ApiGateway": ({"5xx", "Count", "Latency"}, "ApiId", "AWS::ApiGatewayV2::Api"),
}


@pytest.fixture(params=STAGES.values(), ids=list(STAGES))
def service(request: pytest.FixtureRequest) -> Template:
    return templates(**request.param)[1]


def properties(service: Template, kind: str) -> Iterator[dict[str, Any]]:
    return (one["Properties"] for one in resources(service, kind).values())


def called(service: Template, target: Any) -> dict[str, Any]:
    """The function that a trigger names, itself or by its alias."""
    text, functions = json.dumps(target), resources(service, "AWS::Lambda::Function")
    for alias, one in resources(service, "AWS::Lambda::Alias").items():
        text = text.replace(alias, json.dumps(one["Properties"]["FunctionName"]))
    (name,) = (name for name in functions if name in text)
    return dict(functions[name]["Properties"])


def test_a_function_fits_lambda(service: Template, request: pytest.FixtureRequest) -> None:
    wanted = request.node.callspec.params["service"].get("architecture", "x86_64")
    functions = list(properties(service, "AWS::Lambda::Function"))
    assert functions
    for one in functions:
        assert one["Timeout"] <= LONGEST
        assert one["Architectures"] == [wanted]
        assert "EphemeralStorage" not in one  # more than 512 MB takes no snapshot
        assert len(json.dumps(one["Environment"])) < 4_096


def test_the_api_gives_up_before_its_gateway(service: Template) -> None:
    integrations = list(properties(service, "AWS::ApiGatewayV2::Integration"))
    assert integrations
    for one in integrations:
        assert called(service, one["IntegrationUri"])["Timeout"] * 1_000 <= one["TimeoutInMillis"] <= GATEWAY_MS


def test_messages_stay_hidden_for_longer_than_their_function_takes(service: Template) -> None:
    queues = resources(service, "AWS::SQS::Queue")
    mappings = list(properties(service, "AWS::Lambda::EventSourceMapping"))
    assert len(mappings) == 2
    for one in mappings:
        queue = queues[one["EventSourceArn"]["Fn::GetAtt"][0]]["Properties"]
        timeout, window = called(service, one["FunctionName"])["Timeout"], one.get("MaximumBatchingWindowInSeconds", 0)
        few = one["BatchSize"] == 1  # nothing waits behind a batch that is throttled
        assert queue["VisibilityTimeout"] >= (1 if few else 6) * timeout + window
        assert window >= 1 or one["BatchSize"] <= 10
        assert 2 <= one["ScalingConfig"]["MaximumConcurrency"] <= 1_000
        assert queue["RedrivePolicy"]["maxReceiveCount"] >= 5
        assert one["FunctionResponseTypes"] == ["ReportBatchItemFailures"]


def machines(service: Template) -> Iterator[dict[str, Any]]:
    for one in properties(service, "AWS::StepFunctions::StateMachine"):
        parts = one["DefinitionString"]["Fn::Join"][1]
        yield json.loads("".join(part if isinstance(part, str) else "reference" for part in parts))


def test_a_run_has_time_for_every_try_and_hands_on_no_more_than_a_state_takes(service: Template) -> None:
    for machine in machines(service):
        assert machine["TimeoutSeconds"] >= 3 * TRIES * LONGEST
        (mapped,) = (state for state in machine["States"].values() if state["Type"] == "Map")
        assert mapped["ResultPath"] is None
        assert mapped["ItemReader"]["Resource"].endswith("s3:getObject")
        assert mapped["ItemProcessor"]["ProcessorConfig"]["Mode"] == "DISTRIBUTED"


def test_an_element_of_a_plan_is_no_larger_than_a_state_takes() -> None:
    (most,) = (one.le for one in ForecastingSettings.model_fields["shard_series"].metadata if hasattr(one, "le"))
    series = ["\U0001f600" * 128] * most
    shard = Shard(run_id="r" * 40, version="v" * 16, data_hash="d" * 64, number=99_999, series=series, alone="w" * 500)
    assert len(shard.model_dump_json().encode()) < STATE_BYTES
    assert ITEM_TEXT + 2_048 < STATE_BYTES


def test_all_that_runs_at_once_by_default_fits_a_new_account() -> None:
    _, service = templates()
    maps = [
        state["MaxConcurrency"] for m in machines(service) for state in m["States"].values() if state["Type"] == "Map"
    ]
    read = [
        one["ScalingConfig"]["MaximumConcurrency"] for one in properties(service, "AWS::Lambda::EventSourceMapping")
    ]
    assert len(maps) == len(read) == 2
    assert sum(maps) + sum(read) + PAGE_CALLS <= NEW_ACCOUNT
    assert max(one["MemorySize"] for one in properties(service, "AWS::Lambda::Function")) <= 3_008


def watched(service: Template) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """(namespace, name, dimensions) of every metric of an alarm or of the dashboard."""
    for one in properties(service, "AWS::CloudWatch::Alarm"):
        yield one["Namespace"], one["MetricName"], {d["Name"]: d["Value"] for d in one["Dimensions"]}
    (board,) = properties(service, "AWS::CloudWatch::Dashboard")
    parts = board["DashboardBody"]["Fn::Join"][1]
    body = json.loads("".join(part if isinstance(part, str) else json.dumps(part).replace('"', "'") for part in parts))
    for line in (line for widget in body["widgets"] for line in widget["properties"].get("metrics", [])):
        if isinstance(line[0], str):
            space, name, *rest = (word for word in line if isinstance(word, str))
            yield space, name, dict(zip(rest[::2], rest[1::2], strict=True))


def test_a_watched_metric_is_one_that_aws_has_of_a_thing_of_this_stack(service: Template) -> None:
    """Those of the project itself are compared with what a real run emits, in test_emitted.py."""
    metrics = list(watched(service))
    assert {space for space, _, _ in metrics} == {*KNOWN, NAMESPACE}
    for space, name, dimensions in metrics:
        if space != NAMESPACE:
            names, dimension, kind = KNOWN[space]
            assert name in names
            assert set(dimensions) == {dimension}, name
            assert any(f"{one}'" in str(dimensions[dimension]) for one in resources(service, kind)), name
