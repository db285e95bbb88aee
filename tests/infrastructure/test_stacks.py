"""The synthesised templates, as a reviewer of the deployment would read them."""

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import get_args

import pytest
from aws_cdk import Stack
from aws_cdk.assertions import Annotations as AssemblyAnnotations
from aws_cdk.assertions import Match, Template
from aws_cdk.aws_logs import RetentionDays

from functions.clustering.contracts import LABEL_SCHEMA, DayManifest
from functions.console.contracts import Verdict
from infra import console
from infra.app import build
from infra.settings import DeploySettings, Retention, StageFile
from infra.warehouse import DAY_COLUMNS, RUN_COLUMNS, VERDICT_COLUMNS
from layers.runtime.observability import metrics
from tests.conftest import ROOT
from tests.templates import resources, templates


@pytest.fixture(scope="module")
def data() -> Template:
    return templates()[0]


@pytest.fixture(scope="module")
def service() -> Template:
    return templates()[1]


@pytest.fixture(scope="module")
def assembly(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What `cdk synth` writes, cdk-nag and CDK's own validation included; it ends with an error on a finding."""
    out = tmp_path_factory.mktemp("synth")
    command = [str(ROOT / "node_modules/.bin/cdk"), "synth", "--quiet", "--output", str(out)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=180, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    (out / "said").write_text(done.stdout + done.stderr)
    return out


def test_synth_says_no_warning_and_no_finding(assembly: Path) -> None:
    said = (assembly / "said").read_text()
    assert "WARN" not in said.upper()
    assert "ERROR" not in said.upper()


def test_a_finding_would_fail_the_synth(tmp_path: Path) -> None:
    app = tmp_path / "app.py"
    app.write_text(
        "from infra.app import build\nfrom infra.settings import deployment\n"
        "from aws_cdk import aws_sqs as sqs\napp = build(*deployment())\n"
        "sqs.Queue(app.node.find_child('trefoil-dev-service'), 'Plain')\napp.synth()\n"
    )
    command = [str(ROOT / "node_modules/.bin/cdk"), "synth", "--quiet", "--output", str(tmp_path / "out")]
    command += ["--app", f"PYTHONPATH={ROOT} python3 {app}"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=180, check=False)
    assert done.returncode != 0
    assert "AwsSolutions-SQS" in done.stdout + done.stderr


def test_buckets_are_private_encrypted_tls_only_and_expire_by_tag_only(data: Template) -> None:
    buckets = resources(data, "AWS::S3::Bucket")
    assert len(buckets) == 2
    for bucket in buckets.values():
        properties = bucket["Properties"]
        assert all(properties["PublicAccessBlockConfiguration"].values())
        assert properties["BucketEncryption"]["ServerSideEncryptionConfiguration"]
        assert bucket["DeletionPolicy"] == "Retain"
        read_once = {"scored/", "queries/", "clustering/", "plans/forecasting/", "console/verdicts/"}
        for rule in properties["LifecycleConfiguration"]["Rules"]:
            if "ExpirationInDays" in rule and rule.get("Prefix") not in read_once:
                assert rule["TagFilters"] == [{"Key": "superseded", "Value": "true"}]
    policies = resources(data, "AWS::S3::BucketPolicy").values()
    assert sum('"aws:SecureTransport": "false"' in json.dumps(policy) for policy in policies) == 2
    data.has_resource_properties("AWS::S3::Bucket", {"VersioningConfiguration": {"Status": "Enabled"}})


def test_copies_of_verdicts_that_nobody_reads_expire_and_verdicts_do_not(data: Template) -> None:
    buckets = resources(data, "AWS::S3::Bucket").values()
    rules = [rule for bucket in buckets for rule in bucket["Properties"]["LifecycleConfiguration"]["Rules"]]
    by_prefix = {rule.get("Prefix"): rule.get("ExpirationInDays") for rule in rules}
    assert by_prefix["console/verdicts/"] == 1
    assert "verdicts/" not in by_prefix


def test_what_expires_leaves_no_marker_behind(data: Template) -> None:
    (versioned,) = (
        b for b in resources(data, "AWS::S3::Bucket").values() if "VersioningConfiguration" in b["Properties"]
    )
    rules = versioned["Properties"]["LifecycleConfiguration"]["Rules"]
    assert [rule["ExpiredObjectDeleteMarker"] for rule in rules if "ExpiredObjectDeleteMarker" in rule] == [True]


def test_a_saved_query_names_the_day_of_every_table(service: Template) -> None:
    (query,) = resources(service, "AWS::Athena::NamedQuery").values()
    text = query["Properties"]["QueryString"]
    for alias in re.findall(r"(?:FROM|JOIN) \w+ (\w+)", text):
        assert re.search(rf"{alias}\.dt = '", text), f"{alias} is read for every day since the first"


def test_tables_have_the_contracts_keys_recovery_and_expiry(data: Template) -> None:
    keys = {}
    for table in resources(data, "AWS::DynamoDB::GlobalTable").values():
        properties = table["Properties"]
        key = tuple(part["AttributeName"] for part in properties["KeySchema"])
        keys[key] = "TimeToLiveSpecification" in properties
        replica = properties["Replicas"][0]
        assert replica["PointInTimeRecoverySpecification"]["PointInTimeRecoveryEnabled"]
        assert properties["BillingMode"] == "PAY_PER_REQUEST"
        assert table["DeletionPolicy"] == "Retain"
    assert keys == {
        ("leaf", "version"): True,
        ("job", "key"): True,
        ("series_id", "item"): True,
        ("user_id",): True,
        ("model", "bucket"): True,
    }
    data.has_resource_properties(
        "AWS::DynamoDB::GlobalTable",
        {
            "StreamSpecification": {"StreamViewType": "NEW_AND_OLD_IMAGES"},
            "GlobalSecondaryIndexes": [
                Match.object_like(
                    {"KeySchema": Match.array_with([{"AttributeName": "segment_shard", "KeyType": "HASH"}])}
                )
            ],
        },
    )


def test_nobody_signs_up_by_himself(data: Template) -> None:
    data.has_resource_properties(
        "AWS::Cognito::UserPool", {"AdminCreateUserConfig": {"AllowAdminCreateUserOnly": True}}
    )


def test_the_page_signs_in_by_the_pools_own_api_and_no_other_way(service: Template) -> None:
    (client,) = resources(service, "AWS::Cognito::UserPoolClient").values()
    properties = client["Properties"]
    assert properties["AllowedOAuthFlowsUserPoolClient"] is False
    assert not {"AllowedOAuthFlows", "AllowedOAuthScopes", "CallbackURLs"} & properties.keys()


@pytest.mark.parametrize("state", ["missing", "older than its source"])
def test_synth_refuses_to_deploy_without_the_pages_bundle(
    state: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    page = tmp_path / "page"
    shutil.copytree(console.PAGE, page)
    if state == "missing":
        shutil.rmtree(page / "built")
    else:
        (page / "app.js").touch()
    monkeypatch.setattr(console, "PAGE", page)
    stack = build(DeploySettings(), StageFile("dev.toml", {})).node.find_child("trefoil-dev-service")
    assert isinstance(stack, Stack)
    AssemblyAnnotations.from_stack(stack).has_error("*", Match.string_like_regexp("run `make setup`"))


def test_functions_fit_a_new_account(service: Template) -> None:
    functions = resources(service, "AWS::Lambda::Function")
    assert len(functions) == 12
    for function in functions.values():
        properties = function["Properties"]
        assert properties["MemorySize"] <= 3008
        assert "ReservedConcurrentExecutions" not in properties
        assert properties["PackageType"] == "Image"
        assert properties["TracingConfig"] == {"Mode": "Active"}
        assert "LogGroup" in properties["LoggingConfig"]


def test_every_log_group_has_a_retention(service: Template) -> None:
    groups = resources(service, "AWS::Logs::LogGroup").values()
    assert groups
    assert all(group["Properties"]["RetentionInDays"] == 30 for group in groups)


def test_every_retention_of_the_settings_is_one_of_cdk() -> None:
    assert set(get_args(Retention)) == {member.name for member in RetentionDays}
    _, service = templates(log_retention="ONE_WEEK")
    groups = resources(service, "AWS::Logs::LogGroup").values()
    assert all(group["Properties"]["RetentionInDays"] == 7 for group in groups)


def test_settings_are_read_without_starting_node() -> None:
    code = "import sys, infra.settings, cli.main; sys.exit('jsii' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, timeout=120, check=False).returncode == 0


def test_each_function_has_a_role_of_its_own(service: Template) -> None:
    roles = [json.dumps(f["Properties"]["Role"]) for f in resources(service, "AWS::Lambda::Function").values()]
    assert len(set(roles)) == len(roles)


def test_messages_get_five_tries_and_time_enough(service: Template) -> None:
    service.has_resource_properties(
        "AWS::SQS::Queue",
        {"RedrivePolicy": Match.object_like({"maxReceiveCount": 5}), "VisibilityTimeout": 6 * 60 + 5},
    )
    service.has_resource_properties(
        "AWS::Lambda::EventSourceMapping",
        {
            "BatchSize": 1000,
            "MaximumBatchingWindowInSeconds": 5,
            "FunctionResponseTypes": ["ReportBatchItemFailures"],
            "ScalingConfig": {"MaximumConcurrency": 2},
        },
    )


def test_files_that_arrive_wait_in_a_queue_of_which_few_are_read_at_a_time() -> None:
    _, service = templates(ingest_concurrency=4)
    (rule,) = resources(service, "AWS::Events::Rule").values()
    (target,) = rule["Properties"]["Targets"]
    (name,) = (name for name in resources(service, "AWS::SQS::Queue") if "Arrivals" in name)
    assert target["Arn"] == {"Fn::GetAtt": [name, "Arn"]}
    assert "Undelivered" in json.dumps(target["DeadLetterConfig"])
    queue = resources(service, "AWS::SQS::Queue")[name]["Properties"]
    assert "Undelivered" in json.dumps(queue["RedrivePolicy"]["deadLetterTargetArn"])
    assert queue["VisibilityTimeout"] >= 15 * 60
    service.has_resource_properties(
        "AWS::Lambda::EventSourceMapping", {"BatchSize": 1, "ScalingConfig": {"MaximumConcurrency": 4}}
    )


def test_schedules_have_a_zone_retries_and_a_dead_letter_queue() -> None:
    _, service = templates(timezone="Europe/Amsterdam", clustering_schedule="cron(30 1 * * ? *)")
    schedules = resources(service, "AWS::Scheduler::Schedule").values()
    assert len(schedules) == 4
    for schedule in schedules:
        properties = schedule["Properties"]
        assert properties["ScheduleExpressionTimezone"] == "Europe/Amsterdam"
        target = properties["Target"]
        assert target["DeadLetterConfig"]["Arn"]
        assert target["RetryPolicy"]["MaximumRetryAttempts"] == 10
        assert json.loads(target["Input"]) == {"scheduled_at": "<aws.scheduler.scheduled-time>"}
    service.has_resource_properties("AWS::Scheduler::Schedule", {"ScheduleExpression": "cron(30 1 * * ? *)"})


def test_a_day_of_rides_is_a_day_in_the_schedules_zone() -> None:
    _, service = templates(timezone="Europe/Amsterdam", clustering_schedule="cron(30 1 * * ? *)")
    service.has_resource_properties(
        "AWS::Lambda::Function",
        {"Environment": {"Variables": Match.object_like({"TREFOIL_TIMEZONE": "Europe/Amsterdam"})}},
    )


def test_only_the_page_is_open(service: Template) -> None:
    routes = {
        r["Properties"]["RouteKey"]: r["Properties"] for r in resources(service, "AWS::ApiGatewayV2::Route").values()
    }
    opened = {key for key, route in routes.items() if route["AuthorizationType"] == "NONE"}
    paths = ("/", "/static/{proxy+}", "/healthz", "/openapi.json", "/console/{proxy+}")
    assert opened == {f"{method} {path}" for method in ("GET", "HEAD") for path in paths}
    guarded = {
        "/v1/{proxy+}": {"POST", "PUT"},
        "/v1/days": set(),
        "/v1/days/{proxy+}": {"PUT"},
        "/v1/segments": set(),
        "/v1/segments/people": {"POST"},
        "/v1/operation": set(),
    }
    wanted = {f"{method} {path}" for path, more in guarded.items() for method in {"GET", "HEAD"} | more}
    assert routes.keys() - opened == wanted
    service.has_resource_properties(
        "AWS::ApiGatewayV2::Stage",
        {
            "StageName": "$default",
            "DefaultRouteSettings": Match.object_like({"ThrottlingRateLimit": 50, "ThrottlingBurstLimit": 100}),
            "AccessLogSettings": Match.object_like({"DestinationArn": Match.any_value()}),
        },
    )


def test_each_alarm_reaches_the_topic(service: Template) -> None:
    alarms = resources(service, "AWS::CloudWatch::Alarm").values()
    assert alarms
    assert all(alarm["Properties"]["AlarmActions"] for alarm in alarms)
    assert len(resources(service, "AWS::SNS::Topic")) == len(resources(service, "AWS::CloudWatch::Dashboard")) == 1


def test_the_dashboard_stays_within_the_fifty_metrics_that_are_free(service: Template) -> None:
    (board,) = resources(service, "AWS::CloudWatch::Dashboard").values()
    parts = board["Properties"]["DashboardBody"]["Fn::Join"][1]
    widgets = json.loads("".join(part if isinstance(part, str) else "reference" for part in parts))["widgets"]
    lines = [line for widget in widgets for line in widget["properties"].get("metrics", [])]
    assert 20 < sum(isinstance(line[0], str) for line in lines) <= 50


def test_alarms_look_at_the_metrics_of_their_own_stage(service: Template) -> None:
    emitter = metrics("clustering")
    emitter.add_metric("DaysPublished", "Count", 1)
    emitted = emitter.serialize_metric_set()
    (found,) = emitted["_aws"]["CloudWatchMetrics"]
    emitter.clear_metrics()
    service.has_resource_properties(
        "AWS::CloudWatch::Alarm",
        {
            "MetricName": "DaysPublished",
            "Namespace": found["Namespace"],
            "Dimensions": Match.array_equals([{"Name": name, "Value": emitted[name]} for name in ("service", "stage")]),
        },
    )
    assert set(found["Dimensions"][0]) == {"service", "stage"}


def test_an_address_in_the_settings_is_subscribed() -> None:
    _, service = templates(alarm_email="ops@example.com")
    service.has_resource_properties("AWS::SNS::Subscription", {"Protocol": "email", "Endpoint": "ops@example.com"})


def test_glue_columns_are_what_the_leaf_writes() -> None:
    arrow = {"int32": "int", "bool": "boolean"}
    written = {field.name: arrow.get(str(field.type), str(field.type)) for field in LABEL_SCHEMA}
    assert written == dict(column.split() for column in RUN_COLUMNS.split(", "))
    hive = {str: {"string"}, int: {"int", "bigint"}, float: {"double"}, float | None: {"double"}}
    days = dict(column.split() for column in DAY_COLUMNS.split(", "))
    no_columns = ("verdicts", "usual_share", "far_from_usual")
    documents = {name: field for name, field in DayManifest.model_fields.items() if name not in no_columns}
    for name, field in documents.items():
        assert days[name] in hive[field.annotation], name
    assert list(days) == list(documents)
    words = dict(column.split() for column in VERDICT_COLUMNS.split(", "))
    assert words == dict.fromkeys(Verdict.model_fields, "string") | {"severity": "double"}


def test_glue_projects_days_from_the_first_one_in_the_settings() -> None:
    _, service = templates(first_day="2020-02-02")
    for table in resources(service, "AWS::Glue::Table").values():
        parameters = table["Properties"]["TableInput"]["Parameters"]
        assert parameters["projection.dt.range"] == "2020-02-02,NOW+1DAYS"


def test_snap_start_publishes_versions_behind_aliases_that_triggers_call() -> None:
    _, service = templates(snap_start=True)
    snapped = [
        f
        for f in resources(service, "AWS::Lambda::Function").values()
        if f["Properties"].get("SnapStart") == {"ApplyOn": "PublishedVersions"}
    ]
    assert len(snapped) == 2
    assert len(resources(service, "AWS::Lambda::Alias")) == 2
    mappings = json.dumps(resources(service, "AWS::Lambda::EventSourceMapping"))
    aliases = resources(service, "AWS::Lambda::Alias")
    assert ':live"]]}' in mappings
    integrations = json.dumps(resources(service, "AWS::ApiGatewayV2::Integration"))
    assert any(alias in integrations for alias in aliases)


def test_no_physical_names_but_those_that_people_type(data: Template, service: Template) -> None:
    named = {
        properties.get(key)
        for template in (data, service)
        for resource in template.to_json()["Resources"].values()
        for properties in [resource.get("Properties", {})]
        for key in ("BucketName", "TableName", "QueueName", "FunctionName", "RoleName", "TopicName", "StateMachineName")
        if isinstance(properties.get(key), str)
    }
    assert named == set()
