"""What the smoke test says of schedules, alarms and starts, and how it ends."""

import re
from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

import pyarrow as pa
import pytest

from cli.smoke import command, operation
from cli.smoke.operation import alarm, logs, next_start, schedules, starts
from cli.smoke.trial import Check, NotProvenError, Trial

NOW = datetime(2026, 3, 27, 12, 30, tzinfo=UTC)  # a Friday


@pytest.mark.parametrize(
    ("expression", "zone", "comes"),
    [
        ("cron(0 3 * * ? *)", "UTC", "Sat 2026-03-28 03:00 UTC"),
        ("cron(45 12 * * ? *)", "UTC", "Fri 2026-03-27 12:45 UTC"),
        ("cron(30 12 * * ? *)", "UTC", "Sat 2026-03-28 12:30 UTC"),
        ("cron(0 4 ? * MON *)", "Europe/Berlin", "Mon 2026-03-30 04:00 CEST"),
        ("cron(0 4 ? * 2-6 *)", "America/New_York", "Mon 2026-03-30 04:00 EDT"),
        ("cron(0/20 8-10,13 * * ? *)", "UTC", "Fri 2026-03-27 13:00 UTC"),
        ("cron(0 */6 * * ? *)", "UTC", "Fri 2026-03-27 18:00 UTC"),
        ("cron(0 0 29 FEB ? *)", "UTC", "Tue 2028-02-29 00:00 UTC"),
        ("cron(0 0 L * ? *)", "UTC", "cron(0 0 L * ? *)"),
        ("rate(1 hour)", "UTC", "within 1 hour"),
    ],
)
def test_a_schedules_next_start_is_told_in_its_zone(expression: str, zone: str, comes: str) -> None:
    assert next_start(expression, ZoneInfo(zone), NOW) == comes


class Account:
    """AWS as far as these checks ask it; `lines` are those of every log group."""

    stage, cloud = "dev", None

    def __init__(
        self, *lines: str, notice: str = "Successfully executed action arn:sns", state: str = "ENABLED"
    ) -> None:
        self.lines, self.notice, self.state = lines, notice, state
        self.rings = False

    def client(self, _: str) -> "Account":
        return self

    def listed(self, _: str, operation: str, *__: str, **___: Any) -> list[str]:
        return ["trefoil-dev-service-throttles"] if operation == "list_stack_resources" else self.lines

    def set_alarm_state(self, *, StateValue: str, **_: str) -> None:
        self.rings = StateValue == "ALARM"

    def describe_alarms(self, **_: Any) -> dict[str, list[str]]:
        return {"MetricAlarms": ["throttles"] * self.rings}

    def describe_alarm_history(self, **_: Any) -> dict[str, Any]:
        return {"AlarmHistoryItems": [{"HistorySummary": self.notice}]}

    def get_schedule(self, **_: str) -> dict[str, str]:
        return {"State": self.state, "ScheduleExpression": "rate(1 hour)"}


def trial(**given: Any) -> Trial:
    return Trial(Account(*given.pop("lines", ()), **given))  # type: ignore[arg-type]


def test_an_alarm_whose_topic_took_no_notice_falls_short_and_is_quiet_again() -> None:
    assert "took the notice" in alarm(trial())
    refused = trial(notice="Failed to execute action arn:sns")
    with pytest.raises(NotProvenError, match="Failed"):
        alarm(refused)
    assert not refused.stack.client("cloudwatch").describe_alarms()["MetricAlarms"]


def test_a_schedule_that_is_off_falls_short() -> None:
    assert schedules(trial()) == "throttles within 1 hour"
    with pytest.raises(NotProvenError, match="throttles is disabled"):
        schedules(trial(state="DISABLED"))


def test_a_planted_value_in_a_log_falls_short_and_so_does_a_log_of_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(operation, "LATE", 0)
    clean = trial(lines=("batch scored",))
    clean.secrets.append("planted")
    assert "none with a planted value" in logs(clean)
    leaky = trial(lines=("batch scored", "what planted this"))
    leaky.secrets.append("planted")
    with pytest.raises(NotProvenError, match="a planted value stands in trefoil-dev-service-throttles"):
        logs(leaky)
    with pytest.raises(NotProvenError, match="nothing was logged"):
        logs(trial())


def test_a_start_that_takes_ten_seconds_falls_short() -> None:
    report = "REPORT RequestId: a\tDuration: 5.1 ms\tMemory Size: 3008 MB\tInit Duration: {} ms"
    assert "3.4 s" in starts(trial(lines=(report.format("1200.5"), report.format("3400.1"), "other")))
    with pytest.raises(NotProvenError, match="Lambda stops an initialisation"):
        starts(trial(lines=("INIT_REPORT Init Duration: 10008.32 ms\tPhase: init\tStatus: timeout",)))
    with pytest.raises(NotProvenError, match="no function has started"):
        starts(trial())
    local = trial()
    local.stack.cloud = "here"  # type: ignore[misc, assignment]
    with pytest.raises(NotProvenError, match="does not say"):
        starts(local)


@pytest.mark.parametrize(
    ("raised", "result", "status"),
    [
        (NotProvenError("w"), "short", 1),
        (NotProvenError("w", "not run"), "not run", 1),
        (NotProvenError("w", "not here"), "not here", 0),
        (None, "ok", 0),
    ],
)
def test_what_falls_short_or_was_not_run_is_named_with_where_to_look(
    raised: Exception | None,
    result: str,
    status: int,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def prove(_: Any) -> str:
        if raised:
            raise raised
        return "w"

    monkeypatch.setattr(command, "change", lambda _: Account())
    monkeypatch.setattr(command, "CHECKS", (Check("first", prove, "look there"),))
    monkeypatch.setattr(command, "remove", lambda _: None)
    monkeypatch.setattr(command, "left", lambda _: [])
    body, code = command.smoke()
    assert (body["proven"], code) == (status == 0, status)
    assert body["checks"][0] == {"check": "first", "result": result, "figure": "w", "look": "look there"}
    assert bool(re.search(r"first \((short|not run)\): look there", capsys.readouterr().out)) == (status == 1)


def test_rows_have_the_names_of_the_stages_files_and_a_planted_value() -> None:
    one = trial()
    one.stack.variables = lambda _: {"TREFOIL_COLUMNS": "series_id=Store+Dept,y=Sales,open=Open"}  # type: ignore[method-assign]
    rows = one.table("Function", pa.table({"series_id": ["a"], "ds": ["2026-01-01"], "y": [1.0]}))
    assert rows.to_pylist() == [
        {"Store": "a", "ds": "2026-01-01", "Sales": 1.0, "trefoil-smoke-note": one.planted, "Dept": "1"}
    ]
    assert one.secrets == [one.planted]
