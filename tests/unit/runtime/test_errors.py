"""What a run's row says of an error that a state machine caught."""

import json

import pytest

from layers.runtime.errors import cause_of


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (
            {"Error": "CorruptError", "Cause": json.dumps({"errorMessage": "a part of the run left no report"})},
            "CorruptError: a part of the run left no report",
        ),
        ({"Error": "ValueError", "Cause": json.dumps({"errorMessage": "invalid literal: 'Jane Doe'"})}, "ValueError"),
        ({"Error": "LimitError", "Cause": "not JSON"}, "LimitError"),
        ({"Error": "States.Timeout"}, "States.Timeout"),
        ({}, "unknown"),
    ],
)
def test_the_cause_of_a_failure_is_told_without_what_was_being_read(error: dict[str, str], told: str) -> None:
    assert cause_of(error) == told
