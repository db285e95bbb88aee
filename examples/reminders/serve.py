"""Changes of segments in, reminders out."""

import hashlib
from collections.abc import Iterable
from contextlib import suppress
from typing import Any

from examples.reminders.contracts import LEAF, Change, Reminder
from examples.reminders.settings import ReminderSettings
from layers.runtime.errors import ConflictError, InputError
from layers.runtime.observability import logger, metrics
from layers.storage.objects import S3Objects


def reminder(change: Change, lost: str) -> Reminder | None:
    """A reminder where somebody came to the segment `lost` from another one; nobody is reminded of a first result."""
    before, after = change.dynamodb.before, change.dynamodb.after
    if before is None or after is None or after.segment.value != lost or before.segment.value == lost:
        return None
    return Reminder(
        user_id=after.user_id.value, segment_before=before.segment.value, observed_at=after.observed_at.value
    )


class ReminderService:
    """One object a reminder, so that a record which comes twice writes what is there already."""

    def __init__(self, lake: S3Objects, settings: ReminderSettings) -> None:
        self._lake, self._settings = lake, settings

    def remind(self, records: Iterable[dict[str, Any]]) -> int:
        """Write what is due; returns how many reminders are new. What is no change of a result is passed over, and
        counted. Trouble with storage raises, and the batch comes again."""
        new = 0
        for record in records:
            try:
                due = reminder(Change.parse(record), self._settings.lost)
            except InputError as exc:
                logger(LEAF).warning("record passed over", reason=str(exc))
                metrics(LEAF).add_metric("Strange", unit="Count", value=1)
                continue
            if due:
                with suppress(ConflictError):
                    self._lake.put(_key(due), due.model_dump_json().encode(), if_absent=True)
                    new += 1
        metrics(LEAF).add_metric("Reminders", unit="Count", value=new)
        return new


def _key(due: Reminder) -> str:
    name = hashlib.sha256(f"{due.user_id}\n{due.observed_at}".encode()).hexdigest()[:32]
    return f"reminders/dt={due.observed_at[:10]}/{name}.json"
