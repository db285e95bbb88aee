"""Metrics by name: what alarms and the dashboard look at is what the functions emit, and nothing is emitted unseen."""

import json
import re

from layers.runtime.observability import NAMESPACE
from tests.conftest import ROOT
from tests.infrastructure.test_stacks import resources, templates

ADDED = re.compile(r'add_metric\((?:name=)?"(\w+)"')
LOOPED = re.compile(r"for name in \((.*)\):\n.*\.add_metric\(name=name")


def emitted() -> set[tuple[str, str]]:
    """(leaf, name) of every metric in the code of the functions."""
    found = set()
    for file in (ROOT / "functions").glob("*/*.py"):
        code = file.read_text()
        named = ADDED.findall(code)
        looped = [name for names in LOOPED.findall(code) for name in re.findall(r'"(\w+)"', names)]
        assert code.count("add_metric(") == len(named) + len(LOOPED.findall(code)), f"{file}: a name is not plain"
        found |= {(file.parent.name, name) for name in named + looped}
    return found


def shown() -> set[tuple[str, str]]:
    """(leaf, name) of every metric of ours in an alarm or on the dashboard."""
    _, service = templates()
    (board,) = resources(service, "AWS::CloudWatch::Dashboard").values()
    body = json.dumps(board["Properties"]["DashboardBody"]).replace('\\"', '"')
    pattern = rf'\["{NAMESPACE}","(\w+)","service","(\w+)","stage","dev"'
    found = {(leaf, name) for name, leaf in re.findall(pattern, body)}
    for alarm in resources(service, "AWS::CloudWatch::Alarm").values():
        metric = alarm["Properties"]
        if metric.get("Namespace") == NAMESPACE:
            dimensions = {one["Name"]: one["Value"] for one in metric["Dimensions"]}
            assert set(dimensions) == {"service", "stage"}
            found.add((dimensions["service"], metric["MetricName"]))
    return found


def test_what_is_shown_is_what_is_emitted() -> None:
    assert shown() == emitted() != set()
