"""What an update of the stacks does to what is worth keeping, from the templates that earlier code deployed."""

from typing import Any

import pytest

from tests.conftest import ROOT
from tests.recorded import Recorded, recordings
from tests.templates import templates

# Properties whose change CloudFormation answers by making another resource.
KEPT = {
    "AWS::S3::Bucket": ("BucketName",),
    "AWS::DynamoDB::GlobalTable": ("TableName", "KeySchema", "LocalSecondaryIndexes"),
    "AWS::Cognito::UserPool": ("UsernameAttributes", "AliasAttributes", "UsernameConfiguration"),
}
UPGRADE = (ROOT / "CHANGELOG.md").read_text().partition("What an operator must do at an upgrade:")[2]


@pytest.fixture(params=recordings(), ids=lambda recorded: recorded.file.stem)
def before(request: pytest.FixtureRequest) -> dict[str, Any]:
    recorded: Recorded = request.param
    return dict(recorded.document("templates")["data"])


def indexes(resource: dict[str, Any]) -> set[str]:
    return {index["IndexName"] for index in resource["Properties"].get("GlobalSecondaryIndexes", [])}


def test_buckets_tables_and_users_are_updated_in_place(before: dict[str, Any]) -> None:
    now = templates()[0].to_json()["Resources"]
    kept = {name: one for name, one in before.items() if one["Type"] in KEPT}
    assert {one["Type"] for one in kept.values()} == set(KEPT)
    for name, one in kept.items():
        assert now[name]["Type"] == one["Type"], name
        for given in KEPT[one["Type"]]:
            assert now[name]["Properties"].get(given) == one["Properties"].get(given), (name, given)
        assert now[name]["DeletionPolicy"] == now[name]["UpdateReplacePolicy"] == "Retain"


def test_an_index_that_goes_is_told_to_operators_since_one_update_changes_one_index(before: dict[str, Any]) -> None:
    now = templates()[0].to_json()["Resources"]
    for name, one in before.items():
        if one["Type"] == "AWS::DynamoDB::GlobalTable":
            gone, new = indexes(one) - indexes(now[name]), indexes(now[name]) - indexes(one)
            assert len(new) <= 1, name
            for index in gone | new:
                assert f"`{index}`" in UPGRADE, f"{name}: {index}"
