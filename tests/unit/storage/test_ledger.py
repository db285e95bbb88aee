from datetime import UTC, datetime, timedelta

import pytest

from layers.runtime.errors import ConflictError
from layers.storage.ledger import RunLedger
from tests.fakes import InMemoryTable, SentTwice

LEASE = timedelta(minutes=10)


class Clock:
    now = datetime(2026, 1, 1, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def ledger(clock: Clock) -> RunLedger:
    return RunLedger(InMemoryTable("job", "key"), clock)


def test_the_second_trigger_of_a_run_under_way_gets_nothing(ledger: RunLedger) -> None:
    first = ledger.claim("job", "day", fingerprint="f", lease=LEASE)
    second = ledger.claim("job", "day", fingerprint="f", lease=LEASE)
    assert (first.granted, second.granted) == (True, False)
    assert second.run.run_id == first.run.run_id


def test_a_finished_run_is_not_done_again_unless_its_input_changed(ledger: RunLedger) -> None:
    run = ledger.claim("job", "day", fingerprint="f", lease=LEASE).run
    ledger.finish(run, "done", counts={"rides": 3}, gb_seconds=1.5)
    again = ledger.claim("job", "day", fingerprint="f", lease=LEASE)
    assert not again.granted
    assert (again.run.counts, again.run.gb_seconds) == ({"rides": 3}, 1.5)
    assert ledger.claim("job", "day", fingerprint="g", lease=LEASE).granted


def test_a_failed_run_may_be_tried_again_at_once(ledger: RunLedger) -> None:
    ledger.finish(ledger.claim("job", "day", fingerprint="f", lease=LEASE).run, "failed", detail="why")
    assert ledger.claim("job", "day", fingerprint="f", lease=LEASE).granted


def test_a_run_left_running_is_taken_over_after_its_lease(ledger: RunLedger, clock: Clock) -> None:
    dead = ledger.claim("job", "day", fingerprint="f", lease=LEASE).run
    clock.now += LEASE + timedelta(seconds=1)
    taken = ledger.claim("job", "day", fingerprint="f", lease=LEASE)
    assert taken.granted
    with pytest.raises(ConflictError):
        ledger.finish(dead, "done")


def test_an_owner_takes_over_at_once_what_it_left_running(ledger: RunLedger) -> None:
    ledger.claim("job", "day", fingerprint="f", lease=LEASE, owner="event")
    assert not ledger.claim("job", "day", fingerprint="f", lease=LEASE, owner="another").granted
    assert ledger.claim("job", "day", fingerprint="f", lease=LEASE, owner="event").granted


def test_a_claim_that_is_sent_twice_because_its_answer_was_lost_is_granted() -> None:
    assert RunLedger(SentTwice("job", "key")).claim("job", "day", fingerprint="f", lease=LEASE).granted


def test_finishing_twice_is_harmless(ledger: RunLedger) -> None:
    run = ledger.claim("job", "day", fingerprint="f", lease=LEASE).run
    assert ledger.finish(run, "done") == ledger.finish(run, "done")


def test_history_starts_with_the_last_key(ledger: RunLedger) -> None:
    for day in ("2026-01-01", "2026-01-03", "2026-01-02"):
        ledger.claim("job", day, fingerprint="f", lease=LEASE)
    assert [run.key for run in ledger.history("job")] == ["2026-01-03", "2026-01-02", "2026-01-01"]


def test_of_two_claims_at_once_one_wins() -> None:
    class Racing(InMemoryTable):
        """Shows both claims an empty table first, as two readers at the same moment see it."""

        blind = 2

        def get(self, key):  # type: ignore[no-untyped-def]
            if self.blind:
                self.blind -= 1
                return None
            return super().get(key)

    ledger = RunLedger(Racing("job", "key"))
    claims = [ledger.claim("job", "day", fingerprint="f", lease=LEASE) for _ in range(2)]
    assert [claim.granted for claim in claims] == [True, False]


def test_a_row_goes_by_itself_long_after_anybody_asks_for_it(clock: Clock) -> None:
    table = InMemoryTable("job", "key")
    ledger = RunLedger(table, clock)
    ledger.finish(ledger.claim("job", "day", fingerprint="f", lease=LEASE).run, "done")
    (row,) = table.items.values()
    assert timedelta(days=366) < datetime.fromtimestamp(row["expires_at"], UTC) - clock.now < timedelta(days=500)
