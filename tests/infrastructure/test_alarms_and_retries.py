"""Rules over the state machines and the alarms: what is tried again and for how long, and what rings."""

import json
import random
from collections.abc import Iterator
from typing import Any

import pytest
from aws_cdk.assertions import Template
from pydantic import ValidationError

from infra.settings import DeploySettings
from tests.templates import resources, templates

SLEEPING, THROTTLED = "Lambda.CodeArtifactUserPendingException", "Lambda.TooManyRequestsException"
FINAL = ("InputError", "LimitError", "CorruptError", "UnreconciledError")


@pytest.fixture(scope="module")
def service() -> Template:
    return templates(timezone="Europe/Berlin")[1]


def machines(service: Template) -> Iterator[dict[str, Any]]:
    """Definitions, with their references to other resources as the word `reference`."""
    for machine in resources(service, "AWS::StepFunctions::StateMachine").values():
        parts = machine["Properties"]["DefinitionString"]["Fn::Join"][1]
        yield json.loads("".join(part if isinstance(part, str) else "reference" for part in parts))


def calls(states: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Every state that calls a function, those within maps too."""
    for name, state in states.items():
        if state["Type"] == "Task":
            yield name, state
        yield from calls(state.get("ItemProcessor", {}).get("States", {}))


def waited(state: dict[str, Any], error: str, rng: random.Random) -> float:
    """Seconds between the first call and the last one, if every call fails with `error`."""
    for retrier in state["Retry"]:
        if error in retrier["ErrorEquals"] or retrier["ErrorEquals"] == ["States.ALL"]:
            wait, total = float(retrier.get("IntervalSeconds", 1)), 0.0
            for _ in range(retrier["MaxAttempts"]):
                delay = min(wait, retrier.get("MaxDelaySeconds", 1e9))
                total += rng.uniform(0, delay) if retrier["JitterStrategy"] == "FULL" else delay
                wait *= retrier["BackoffRate"]
            return total
    return 0.0


def test_every_call_waits_five_minutes_for_a_function_that_sleeps_or_is_throttled(service: Template) -> None:
    rng = random.Random(0)
    seen = [found for machine in machines(service) for found in calls(machine["States"])]
    assert {name for name, _ in seen} == {"Plan", "Work", "Publish", "Record failure", "Record failed work"}
    for _, state in seen:
        for error in (SLEEPING, THROTTLED, "Lambda.SdkClientException", "Lambda.ServiceException", "UnavailableError"):
            drawn = sorted(waited(state, error, rng) for _ in range(200))
            assert drawn[2] >= 300
            assert drawn[0] != drawn[-1]
        assert 0 < waited(state, "Lambda.Unknown", rng) <= 60


def test_the_inputs_own_faults_are_never_tried_again(service: Template) -> None:
    for machine in machines(service):
        for _, state in calls(machine["States"]):
            assert state["Retry"][0]["MaxAttempts"] == 0
            assert set(FINAL) <= set(state["Retry"][0]["ErrorEquals"])
            assert all(waited(state, error, random.Random(0)) == 0 for error in FINAL)


def test_an_item_that_fails_tells_its_error_before_it_fails_the_map(service: Template) -> None:
    for machine in machines(service):
        (states,) = (state["ItemProcessor"]["States"] for state in machine["States"].values() if state["Type"] == "Map")
        (catcher,) = states["Work"]["Catch"]
        assert (catcher["ErrorEquals"], catcher["ResultPath"]) == (["States.ALL"], "$.error")
        told = states[catcher["Next"]]
        assert told["Resource"] == machine["States"]["Record failure"]["Resource"]
        assert states[told["Next"]]["Type"] == states[told["Catch"][0]["Next"]]["Type"] == "Fail"


def alarms(service: Template, name: str) -> list[dict[str, Any]]:
    """All that the runbook has under this name."""
    every = [one["Properties"] for one in resources(service, "AWS::CloudWatch::Alarm").values()]
    return [one for one in every if one["AlarmDescription"].startswith(f"trefoil {name}: ")]


def test_runs_that_time_out_or_are_stopped_ring_like_failed_ones(service: Template) -> None:
    rung: dict[str, set[str]] = {name: set() for name in resources(service, "AWS::StepFunctions::StateMachine")}
    for one in resources(service, "AWS::CloudWatch::Alarm").values():
        for dimension in one["Properties"].get("Dimensions", ()):
            if dimension["Name"] == "StateMachineArn":
                rung[dimension["Value"]["Ref"]].add(one["Properties"]["MetricName"])
    assert rung
    assert all(names == {"ExecutionsFailed", "ExecutionsTimedOut", "ExecutionsAborted"} for names in rung.values())


def test_a_day_is_missed_by_the_calendar_of_the_stage_and_never_before_the_first_ride(service: Template) -> None:
    """A window that slides rings on runs at 03:04 and then 03:09, and on the day of 25 hours."""
    (found,) = alarms(service, "day-not-published")
    assert found["EvaluationWindow"] == {"WallClockWindow": {"Timezone": "Europe/Berlin"}}
    assert (found["Period"], found["EvaluationPeriods"]) == (86_400, 1)
    assert found["TreatMissingData"] == "missing"
    assert found["InsufficientDataActions"] == found["AlarmActions"]


@pytest.mark.parametrize("name", ["function-errors", "throttles"])
def test_alarms_on_functions_mean_this_stages_functions(service: Template, name: str) -> None:
    own = set(resources(service, "AWS::Lambda::Function"))
    found = alarms(service, name)
    assert found
    for one in found:
        (dimension,) = one["Dimensions"]
        assert dimension["Name"] == "FunctionName"
        assert dimension["Value"]["Ref"] in own


@pytest.mark.parametrize(
    ("zone", "hour", "comes"),
    [
        ("Europe/Berlin", "2", False),
        ("Europe/Berlin", "3", True),
        ("Europe/Berlin", "1,2", False),
        ("Europe/Berlin", "0-4", False),
        ("Europe/Berlin", "*/2", True),
        ("Europe/Athens", "3", False),
        ("Europe/London", "1", False),
        ("America/New_York", "2", False),
        ("America/Phoenix", "2", True),
        ("UTC", "2", True),
    ],
)
def test_a_schedule_in_the_hour_that_summer_time_skips_is_refused(zone: str, hour: str, comes: bool) -> None:
    chosen = {"timezone": zone, "clustering_schedule": f"cron(30 {hour} * * ? *)"}
    if comes:
        DeploySettings(**chosen)
        return
    with pytest.raises(ValidationError, match=f"does not come in {zone} on the day when summer time begins"):
        DeploySettings(**chosen)


def test_a_zone_that_is_none_is_refused() -> None:
    with pytest.raises(ValidationError, match="is no IANA zone"):
        DeploySettings(timezone="Europe/Nowhere")
