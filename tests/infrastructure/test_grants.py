"""What each function's role may do with the data: what its code calls, and no more."""

import json
import re
from typing import Any

import pytest

from tests.infrastructure.test_stacks import resources, templates

OBJECT_VERBS = {"s3:GetObject": "read", "s3:PutObject": "write", "s3:PutObjectTagging": "tag"}
MAY = {
    "ClusteringFit": {
        "read lake/rides/*",
        "write lake/plans/clustering/*",
        "read models/clustering/*",
        "write models/clustering/*",
        "PutItem models",
        "GetItem runs",
        "PutItem runs",
    },
    "ClusteringLabel": {
        "read lake/rides/*",
        "read models/clustering/*",
        "write lake/anomalies/runs/*",
        "write lake/plans/clustering/*",
    },
    "ClusteringPublish": {
        "read lake/plans/clustering/*",
        "tag lake/plans/clustering/*",
        "tag lake/anomalies/runs/*",
        "write lake/anomalies/reports/*",
        "tag lake/anomalies/reports/*",
        "read lake/anomalies/days/*",
        "write lake/anomalies/days/*",
        "GetItem runs",
        "PutItem runs",
    },
    "ForecastingIngest": {
        "read lake/sales/*",
        "read lake/history/*",
        "write lake/history/*",
        "read lake/catalog.json",
        "write lake/catalog.json",
        "write lake/plans/forecasting/rejected/*",
        "GetItem runs",
        "PutItem runs",
    },
    "ForecastingPlan": {
        "read lake/catalog.json",
        "read lake/plans/forecasting/*",
        "write lake/plans/forecasting/*",
        "read models/forecasting/*",
        "GetItem models",
        "GetItem runs",
        "PutItem runs",
    },
    "ForecastingTrain": {
        "read lake/history/*",
        "write lake/plans/forecasting/*",
        "read models/forecasting/*",
        "write models/forecasting/*",
    },
    "ForecastingPublish": {
        "read lake/catalog.json",
        "write lake/catalog.json",
        "read lake/plans/forecasting/*",
        "read models/forecasting/*",
        "write models/forecasting/*",
        "GetItem models",
        "PutItem models",
        "GetItem runs",
        "PutItem runs",
    },
    "ForecastingApi": {
        "read lake/catalog.json",
        "read lake/history/*",
        "read models/forecasting/*",
        "GetItem models",
        "GetItem forecasts",
        "PutItem forecasts",
        "DeleteItem forecasts",
    },
    "ClassificationScore": {
        "read models/classification/*",
        "write lake/scored/*",
        "GetItem models",
        "PutItem classifications",
        "UpdateItem profiles",
    },
    "ClassificationTrain": {
        "read lake/customers/*",
        "read lake/outcomes/*",
        "read lake/scored/*",
        "read models/classification/*",
        "write models/classification/*",
        "GetItem models",
        "PutItem models",
        "GetItem runs",
        "PutItem runs",
    },
    "ClassificationWatch": {
        "read lake/outcomes/*",
        "read lake/scored/*",
        "write lake/scored/reports/*",
        "read models/classification/*",
        "GetItem models",
        "GetItem profiles",
        "GetItem runs",
        "PutItem runs",
    },
}


def listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def sentences(function: str) -> set[str]:
    """Statements of the role of `function` on buckets and tables; listing a bucket comes with reading from it."""
    said = set()
    for name, policy in resources(templates()[1], "AWS::IAM::Policy").items():
        if not name.startswith(f"{function}Role"):
            continue
        for statement in policy["Properties"]["PolicyDocument"]["Statement"]:
            resource = json.dumps(statement["Resource"])
            if found := re.search(r'FnGetAtt(\w+?)(?:Bucket|Table)\w+"\}(?:, "/([^"]*)")?', resource):
                owner, path = found[1].lower(), f"/{found[2]}" if found[2] else ""
                said |= {f"{OBJECT_VERBS.get(action, action)} {owner}{path}" for action in listed(statement["Action"])}
    return {s.removeprefix("dynamodb:") for s in said if not s.startswith(("s3:ListBucket", "s3:AbortMultipartUpload"))}


@pytest.mark.parametrize("function", MAY)
def test_a_role_may_do_what_the_code_calls_and_no_more(function: str) -> None:
    assert sentences(function) == MAY[function]


def test_alarms_may_publish_to_their_topic_and_plain_http_may_not() -> None:
    (policy,) = resources(templates()[1], "AWS::SNS::TopicPolicy").values()
    statements = policy["Properties"]["PolicyDocument"]["Statement"]
    allowed = [s for s in statements if s["Effect"] == "Allow"]
    assert [(s["Principal"], s["Action"]) for s in allowed] == [
        ({"Service": "cloudwatch.amazonaws.com"}, "sns:Publish")
    ]
    assert allowed[0]["Condition"] == {"StringEquals": {"aws:SourceAccount": {"Ref": "AWS::AccountId"}}}
    assert [s["Condition"] for s in statements if s["Effect"] == "Deny"] == [{"Bool": {"aws:SecureTransport": "false"}}]
