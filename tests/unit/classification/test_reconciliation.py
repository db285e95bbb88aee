"""Messages in are messages ended, whatever the queue does with them; a loss is noticed."""

from datetime import date, timedelta
from typing import Any

import pytest

from functions.classification.reconciliation import JOB, TOLERANCE, Reconciliation
from functions.classification.simulate import customers, events
from layers.runtime.errors import UnavailableError
from layers.runtime.observability import metrics
from tests.unit.classification.conftest import NOW, Cloud

EVENING = NOW.replace(hour=23, minute=59, second=58)


class Queue:
    """Counts what it sent, hands over what it is told to, and moves to the dead letters after five tries."""

    def __init__(self, bodies: list[str], every: timedelta) -> None:
        self.messages = {f"m{i}": (body, EVENING + i * every) for i, body in enumerate(bodies)}
        self.tries = dict.fromkeys(self.messages, 0)
        self.dead: list[str] = []

    def sent(self, day: date) -> int:
        return sum(moment.date() == day for _, moment in self.messages.values())

    def hand_over(self, *ids: str) -> list[dict[str, Any]]:
        for name in ids:
            self.tries[name] += 1
        return [
            {
                "messageId": name,
                "body": self.messages[name][0],
                "attributes": {
                    "SentTimestamp": str(int(self.messages[name][1].timestamp() * 1000)),
                    "ApproximateReceiveCount": str(self.tries[name]),
                },
            }
            for name in ids
        ]

    def drain(self, cloud: Cloud, *dying: str, **parts: Any) -> None:
        """Hand over until everything has ended; a batch with one of `dying` ends without an answer."""
        waiting = list(self.messages)
        while waiting:
            batch, waiting = waiting[:50], waiting[50:]
            again: list[str] = batch
            if set(batch) & set(dying):
                with pytest.raises(UnavailableError):
                    cloud.scoring(**parts | {"lake": Dying()}).score(self.hand_over(*batch), lambda: 60.0)
            else:
                again = cloud.scoring(**parts).score(self.hand_over(*batch), lambda: 60.0)
            self.dead += [name for name in again if self.tries[name] == 5]
            waiting += [name for name in again if self.tries[name] < 5]


class Dying:
    def put(self, key: str, body: bytes) -> str:
        raise UnavailableError("gone")


class Refusing:
    def put(self, item: Any, **_: Any) -> None:
        if item["user_id"].endswith("7"):
            raise UnavailableError("throttled")


def checked(cloud: Cloud, queue: Any, day: date) -> tuple[str, dict[str, Any], float]:
    """Outcome and counts of the run, and the metric of the alarm."""
    now = EVENING.replace(hour=6, minute=30) + (day - NOW.date() + timedelta(days=1))
    emitter = metrics("classification")
    emitter.clear_metrics()
    Reconciliation(queue, cloud.profiles, cloud.ledger, lambda: now).check()
    emitted = emitter.serialize_metric_set()["Unreconciled"]
    emitter.clear_metrics()
    run = cloud.ledger.get(JOB, str(day))
    assert run is not None
    return run.outcome, run.counts, emitted[0]


def bodies(rows: int) -> list[str]:
    found = events(customers(rows, seed=5), seed=5, users=rows // 2)
    return [*found, *found[: rows // 10], "not json", "{}"]


@pytest.mark.parametrize("fault", ["none", "results refused", "a batch that always dies"])
def test_all_that_was_sent_on_a_day_has_ended_though_it_waited_over_midnight(cloud: Cloud, fault: str) -> None:
    queue = Queue(bodies(400), every=timedelta(milliseconds=10))
    parts = {"results": Refusing()} if fault == "results refused" else {}
    queue.drain(cloud, *(["m399"] if fault == "a batch that always dies" else []), **parts)
    assert bool(queue.dead) == (fault != "none")
    for day in (EVENING.date(), EVENING.date() + timedelta(days=1)):
        sent = queue.sent(day)
        assert sent > 0
        assert checked(cloud, queue, day) == ("done", {"sent": sent, "ended": sent}, 0)


@pytest.mark.parametrize(("lost", "outcome"), [(10, "done"), (11, "failed"), (-9, "done"), (-11, "failed")])
def test_more_than_one_in_a_thousand_astray_is_an_alarm_until_it_adds_up(cloud: Cloud, lost: int, outcome: str) -> None:
    class Counted:
        def sent(self, _: date) -> int:
            return 10_000 + lost

    day = NOW.date()
    cloud.profiles.add({"model": "#messages", "bucket": str(day)}, {"ended": 10_000})
    assert TOLERANCE == 0.001
    assert checked(cloud, Counted(), day)[::2] == (outcome, abs(lost) if outcome == "failed" else 0)
    if outcome == "failed":
        cloud.profiles.add({"model": "#messages", "bucket": str(day)}, {"ended": lost})
        assert checked(cloud, Counted(), day)[::2] == ("done", 0)


def test_a_day_is_checked_once_it_is_closed_for_six_hours_and_then_no_more(cloud: Cloud) -> None:
    asked: list[date] = []

    class Counted:
        def sent(self, day: date) -> int:
            asked.append(day)
            return 0

    midnight = NOW.replace(hour=0, minute=0)
    for hour in (5, 7, 8, 29, 31):
        Reconciliation(Counted(), cloud.profiles, cloud.ledger, lambda h=hour: midnight + timedelta(hours=h)).check()
    assert asked == [NOW.date() - timedelta(days=back) for back in (2, 1, 0)]
