"""Daily: every message that was sent has come to an end, as a result, a duplicate or a dead letter."""

from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime, timedelta
from typing import Any, Final, Protocol

from functions.classification.service import MESSAGES
from layers.runtime.observability import metrics
from layers.storage.ledger import RunLedger

JOB: Final = "classification-reconcile"
CLOSED: Final = timedelta(hours=6)  # five tries take half an hour, and metrics of a queue are up to 15 minutes late
TOLERANCE: Final = 0.001  # the queue's count is approximate, and ours may count a redelivered batch twice
LEASE: Final = timedelta(minutes=15)


class Queue(Protocol):
    """What the queue itself counted."""

    def sent(self, day: date) -> int: ...


class ProfileTable(Protocol):
    """The Profiles table, where scoring counts."""

    def get(self, key: Mapping[str, Any]) -> dict[str, Any] | None: ...


class Reconciliation:
    """Compares two counts that know nothing of each other: the queue's of messages sent, ours of messages ended.

    Both go by the day on which the queue took the message, so what waits over midnight makes no difference.
    """

    def __init__(
        self,
        queue: Queue,
        profiles: ProfileTable,
        ledger: RunLedger,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._queue, self._profiles, self._ledger, self._clock = queue, profiles, ledger, clock

    def check(self) -> None:
        """Check the last closed day, once; one that does not add up is looked at again every hour."""
        day = (self._clock().astimezone(UTC) - CLOSED).date() - timedelta(days=1)
        claim = self._ledger.claim(JOB, str(day), fingerprint=str(day), lease=LEASE)
        if not claim.granted:
            return
        sent = self._queue.sent(day)
        ended = int((self._profiles.get({"model": MESSAGES, "bucket": str(day)}) or {}).get("ended", 0))
        counts = {"sent": sent, "ended": ended}
        if ended and not sent:  # a queue that delivered counted too: its count is missing, not its messages
            self._ledger.finish(claim.run, "empty", counts=counts, detail="the queue has no count of this day")
            return
        astray = abs(sent - ended) if abs(sent - ended) > max(1, TOLERANCE * sent) else 0
        metrics("classification").add_metric("Unreconciled", "Count", astray)
        detail = f"{astray} messages {'without an end' if sent > ended else 'more ended than were sent'}"
        self._ledger.finish(claim.run, "failed" if astray else "done", counts=counts, detail=detail if astray else "")
