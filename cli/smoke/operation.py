"""What watches over the leaves: alarms, schedules, logs, and how long functions take to start."""

import re
import time
from datetime import UTC, datetime, timedelta
from itertools import product
from typing import Final
from zoneinfo import ZoneInfo

from cli.smoke.trial import Check, NotProvenError, Trial, require
from cli.stack import Stack, wait

LATE: Final = 15  # s in which CloudWatch has what a function logged
INIT_LIMIT_MS: Final = 10_000  # Lambda stops an initialisation that takes longer, and begins again
STARTED: Final = re.compile(r"(?:Init|Restore) Duration: ([\d.]+) ms")
# Of minutes, hours, days, months and weekdays in a cron expression.
SPANS: Final = ((0, 59), (0, 23), (1, 31), (1, 12), (1, 7))
NAMES: Final = ("JAN FEB MAR APR MAY JUN JUL AUG SEP OCT NOV DEC", "SUN MON TUE WED THU FRI SAT")
NUMBERS: Final = {name: str(number) for names in NAMES for number, name in enumerate(names.split(), 1)}


def alarm(trial: Trial) -> str:
    """An alarm is set off by hand and seen; AWS also says whether its topic took the notice."""
    cloudwatch = trial.stack.client("cloudwatch")
    name = next(name for name in _resources(trial.stack, "AWS::CloudWatch::Alarm") if "throttles" in name)

    def rings() -> bool:
        return bool(cloudwatch.describe_alarms(AlarmNames=[name], StateValue="ALARM")["MetricAlarms"])

    def noticed() -> str:
        history = cloudwatch.describe_alarm_history(AlarmName=name, HistoryItemType="Action", StartDate=trial.since)
        return " ".join(item["HistorySummary"] for item in history["AlarmHistoryItems"])

    cloudwatch.set_alarm_state(AlarmName=name, StateValue="ALARM", StateReason="trefoil smoke")
    try:
        wait(rings, f"{name} to ring", 60)
        if trial.stack.cloud:
            return "rang, set by hand; no metric rings on the local cloud, and its topic tells nobody"
        summary = wait(noticed, f"the notice of {name}", 60)
    finally:
        cloudwatch.set_alarm_state(AlarmName=name, StateValue="OK", StateReason="trefoil smoke has ended")
    require("Successfully" in summary, summary)
    return "rang, set by hand where a metric does it, and its topic took the notice"


def schedules(trial: Trial) -> str:
    """Each schedule is on; when it comes next."""
    coming = []
    for name in _resources(trial.stack, "AWS::Scheduler::Schedule"):
        one = trial.stack.client("scheduler").get_schedule(Name=name)
        short = name.removeprefix(f"trefoil-{trial.stack.stage}-service-")
        require(one["State"] == "ENABLED", f"{short} is {one['State'].lower()}")
        zone = ZoneInfo(one.get("ScheduleExpressionTimezone", "UTC"))
        coming.append(
            f"{re.split('[0-9A-F]{8}', short)[0]} {next_start(one['ScheduleExpression'], zone, datetime.now(UTC))}"
        )
    require(bool(coming), "there is none")
    return ", ".join(coming)


def logs(trial: Trial) -> str:
    """No log shows a planted value, the password or the token; that something was logged is looked at too."""
    if not trial.stack.cloud:
        time.sleep(LATE)
    lines = {
        group: _events(trial.stack, group, trial.since) for group in _resources(trial.stack, "AWS::Logs::LogGroup")
    }
    leaks = [group for group, of in lines.items() if any(word in line for line in of for word in trial.secrets)]
    number = sum(map(len, lines.values()))
    require(number > 0, "nothing was logged")
    require(not leaks, f"a planted value stands in {', '.join(leaks)}")
    return f"{number:,} lines of {len(lines)} groups, none with a planted value"


def starts(trial: Trial) -> str:
    """The slowest start of each function in the last day."""
    if trial.stack.cloud:
        raise NotProvenError("the local cloud does not say how long a function takes to start", "not here")
    since, slowest = datetime.now(UTC) - timedelta(days=1), dict[str, float]()
    for group in _resources(trial.stack, "AWS::Logs::LogGroup"):
        lines = _events(trial.stack, group, since, "?INIT_REPORT ?REPORT")
        if times := [float(match[1]) for line in lines if (match := STARTED.search(line))]:
            slowest[group] = max(times)
    require(bool(slowest), "no function has started in the last day")
    figure = ", ".join(f"{group.rpartition('-')[2]} {ms / 1000:.1f} s" for group, ms in sorted(slowest.items()))
    require(max(slowest.values()) < INIT_LIMIT_MS, f"{figure}: Lambda stops an initialisation after 10 s")
    return figure


OPERATION: Final = (
    Check("an alarm", alarm, "CloudWatch's alarms; docs/operate.md"),
    Check("schedules", schedules, "EventBridge Scheduler"),
    Check("logs", logs, "trefoil logs FUNCTION"),
    Check("starts", starts, "REPORT lines of trefoil logs FUNCTION; layers/README.md; snap_start"),
)


def next_start(expression: str, zone: ZoneInfo, now: datetime) -> str:
    """When a schedule comes after `now`, in its zone; of a rate within which time. An `L`, `W` or `#` is not read."""
    if expression.startswith("rate("):
        return expression.replace("rate(", "within ").rstrip(")")
    fields = zip(expression.removeprefix("cron(").split(), SPANS, strict=False)
    try:
        minutes, hours, days, months, weekdays = (_values(field, *span) for field, span in fields)
    except ValueError:
        return expression
    for day in (now.astimezone(zone).date() + timedelta(days=i) for i in range(366 * 4)):
        if day.month in months and day.day in days and day.isoweekday() % 7 + 1 in weekdays:
            for hour, minute in product(hours, minutes):
                start = datetime(day.year, day.month, day.day, hour, minute, tzinfo=zone)
                if start > now:
                    return f"{start:%a %Y-%m-%d %H:%M %Z}"
    return "never"


def _values(field: str, first: int, last: int) -> list[int]:
    """Numbers that a field of a cron expression names, in order. Raises ValueError."""
    values: set[int] = set()
    for part in re.sub("[A-Z]{3}", lambda name: NUMBERS.get(name[0], name[0]), field).split(","):
        span, _, step = part.partition("/")
        low, _, high = (f"{first}-{last}" if span in "*?" else span).partition("-")
        values |= set(range(int(low), int(high or (last if step else low)) + 1, int(step or 1)))
    return sorted(values)


def _resources(stack: Stack, kind: str) -> list[str]:
    """Physical names of the service stack's resources of a kind."""
    path = f"StackResourceSummaries[?ResourceType=='{kind}'].PhysicalResourceId"
    service = f"trefoil-{stack.stage}-service"
    return sorted(stack.listed("cloudformation", "list_stack_resources", path, StackName=service))


def _events(stack: Stack, group: str, since: datetime, pattern: str = "") -> list[str]:
    asked = {"logGroupName": group, "startTime": int(since.timestamp() * 1000), "filterPattern": pattern}
    return stack.listed("logs", "filter_log_events", "events[].message", **asked)
