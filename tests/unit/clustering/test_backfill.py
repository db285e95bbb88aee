"""`trefoil backfill anomalies`: every day is run, a failed one is told and keeps no other waiting."""

import json
import sys
from typing import Any

import pytest

from cli import backfill, console
from cli.main import app
from layers.runtime.errors import UnavailableError


class Stack:
    """Runs days in memory: the second one fails."""

    outputs: dict[str, str] = {}  # noqa: RUF012

    class ledger:  # noqa: N801
        @staticmethod
        def get(*_: str) -> None:
            return None


def run(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int:
    monkeypatch.setattr(sys, "argv", ["trefoil", "backfill", "anomalies", *arguments])
    return console.run(app)


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    days: list[Any] = []

    def start(_: Any, machine: str, event: dict[str, Any]) -> str:
        days.append((machine, event))
        return str(event["dt"])

    def finished(_: Any, execution: str) -> dict[str, Any]:
        if execution.endswith("-02"):
            raise UnavailableError("boom")
        return {"status": "published"}

    monkeypatch.setattr(backfill, "change", lambda *_, **__: Stack())
    monkeypatch.setattr(backfill, "start", start)
    monkeypatch.setattr(backfill, "finished", finished)
    return days


def test_each_day_is_run_and_a_failed_one_is_told(
    monkeypatch: pytest.MonkeyPatch, started: list[Any], capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(monkeypatch, "--from", "2026-03-01", "--to", "2026-03-03", "--json") == 1
    assert started == [("ClusteringStateMachine", {"dt": f"2026-03-0{i}", "force": False}) for i in (1, 2, 3)]
    body = json.loads(capsys.readouterr().out)
    assert [day["status"] for day in body["days"]] == ["published", "failed", "published"]
    assert body["failed"] == 1


def test_a_day_that_is_done_can_be_forced(monkeypatch: pytest.MonkeyPatch, started: list[Any]) -> None:
    assert run(monkeypatch, "--from", "2026-03-01", "--to", "2026-03-01", "--force") == 0
    assert started == [("ClusteringStateMachine", {"dt": "2026-03-01", "force": True})]


@pytest.mark.parametrize(("first", "last"), [("2026-03-02", "2026-03-01"), ("March", "2026-03-01")])
def test_days_that_are_none_exit_2(monkeypatch: pytest.MonkeyPatch, started: list[Any], first: str, last: str) -> None:
    assert run(monkeypatch, "--from", first, "--to", last) == 2
    assert started == []
