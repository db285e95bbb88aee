"""What the console answers, from what the leaves publish."""

import re
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from statistics import median
from typing import Any

from functions.console.contracts import (
    DayPage,
    DayRow,
    FlagPage,
    JudgedFlag,
    Manifest,
    ModelRow,
    Newest,
    Operation,
    Segments,
    Verdict,
    Word,
)
from functions.console.settings import ConsoleSettings
from functions.console.store import Published, hash_of
from layers.runtime.errors import InputError, LimitError, NotFoundError
from layers.runtime.parsing import said_at
from layers.storage import health
from layers.storage.aws import translated
from layers.storage.ledger import RunLedger
from layers.storage.registry import ModelRegistry
from layers.storage.tables import DynamoTable

SHOWN, LONGEST, FEWEST = 31, 366, 3
DAY = timedelta(days=1)
CURSOR = re.compile(r"([0-9.e+]{1,32})_([0-9a-f]{32})")


@dataclass
class RideService:
    """Days of rides, their flags, and what people say of these."""

    published: Published
    settings: ConsoleSettings
    clock: Callable[[], datetime] = lambda: datetime.now(UTC)

    def days(self, first: date | None, last: date | None) -> list[DayRow]:
        """Published days, oldest first: by default the 31 that end with the newest. Raises InputError, LimitError."""
        if first and last and last < first:
            raise InputError("ends before it begins", field="query.to")
        last = last or self.published.newest()
        if last is None or (first and last < first):
            return []
        first = first or max(last - (SHOWN - 1) * DAY, date(1970, 1, 1))
        if (last - first).days >= LONGEST:
            raise LimitError(f"at most {LONGEST} days are told at once", field="query.from")
        manifests = self.published.manifests(self._usual_from(first), last)
        verdicts = self.published.verdicts(first, last)
        return [self._row(day, manifests, verdicts.get(day, {})) for day in manifests if day >= first]

    def day(self, day: date) -> DayPage:
        """Raises NotFoundError."""
        manifests = self.published.manifests(self._usual_from(day), day)
        manifest = _of(manifests, day)
        row = self._row(day, manifests, self.published.verdicts(day, day).get(day, {}))
        return DayPage(**manifest.model_dump() | row.model_dump() | {"plot": self.published.plot(day, manifest.run_id)})

    def flags(
        self,
        day: date,
        *,
        reason: str = "",
        kind: str = "",
        min_severity: float = 0.0,
        limit: int = 50,
        cursor: str = "",
    ) -> FlagPage:
        """Most severe first, those of a `kind` whose reason contains `reason`, in any case.

        Raises NotFoundError, InputError.
        """
        manifest = _of(self.published.manifests(day, day), day)
        flags = self.published.flags(day, manifest.run_id)
        matching = [
            (-flag.severity, name, flag)
            for name, flag in flags.items()
            if reason.casefold() in flag.reason.casefold() and kind in ("", flag.kind) and flag.severity >= min_severity
        ]
        rest = [one for one in matching if one[:2] > _position(cursor)] if cursor else matching
        verdicts = self.published.verdicts(day, day).get(day, {})
        return FlagPage(
            run_id=manifest.run_id,
            anomalies=manifest.anomalies,
            listed=len(flags),
            matched=len(matching),
            items=[JudgedFlag(**flag.model_dump(), verdict=verdicts.get(name)) for _, name, flag in rest[:limit]],
            next_cursor=f"{-rest[limit - 1][0]!r}_{rest[limit - 1][1]}" if len(rest) > limit else None,
        )

    def judge(self, day: date, ride_id: str, word: Word, by: str) -> Verdict:
        """The word that stands afterwards: this one, or a newer one.

        Raises NotFoundError for a ride that is neither listed nor judged already, InputError for the future.
        """
        at = said_at(word.at, self.clock())
        run_id = _of(self.published.manifests(day, day), day).run_id
        flag = self.published.flags(day, run_id).get(hash_of(ride_id)) or self.published.verdict(day, ride_id)
        if flag is None:
            raise NotFoundError(f"no such ride is among the most severe flags of {day}")
        said = {"ride_id": ride_id, "run_id": run_id, "verdict": word.verdict, "note": word.note, "by": by}
        of_flag = {"severity": flag.severity, "kind": flag.kind}
        return self.published.judge(day, Verdict(**said, **of_flag, at=at))

    def _usual_from(self, day: date) -> date:
        return max(day - self.settings.usual_days * DAY, date(1970, 1, 1))

    def _row(self, day: date, manifests: Mapping[date, Manifest], verdicts: Mapping[str, Verdict]) -> DayRow:
        manifest = manifests[day]
        before = [_share(one) for other, one in manifests.items() if self._usual_from(day) <= other < day]
        counts = Counter((verdict.kind, verdict.verdict) for verdict in verdicts.values() if verdict.verdict)
        kinds = {kind: (counts[kind, "confirmed"], counts[kind, "false_alarm"]) for kind, _ in sorted(counts)}
        return DayRow(
            dt=day,
            **manifest.model_dump(include={"run_id", "rides", "anomalies", "rejected"}),
            share=_share(manifest),
            usual_share=median(before) if len(before) >= FEWEST else None,
            confirmed=sum(confirmed for confirmed, _ in kinds.values()),
            false_alarms=sum(false_alarms for _, false_alarms in kinds.values()),
            kinds=kinds,
        )


def _of(manifests: Mapping[date, Manifest], day: date) -> Manifest:
    if day not in manifests:
        raise NotFoundError(f"no rides of {day} are published")
    return manifests[day]


def _share(manifest: Manifest) -> float:
    return manifest.anomalies / max(manifest.rides, 1)


def _position(cursor: str) -> tuple[float, str]:
    """Severity, below zero, and hash of the last flag of the page before. Raises InputError for what is none."""
    made = CURSOR.fullmatch(cursor)
    try:
        return -float(made[1] if made else ""), made[2] if made else ""
    except ValueError as exc:
        raise InputError("is not the `next_cursor` of a page", field="query.cursor") from exc


@dataclass
class OperationService:
    """Champions and reports, and what `trefoil status` says as far as tables, queues and alarms tell it.

    `results` are those of people; `sqs` and `cloudwatch` are clients.
    """

    published: Published
    registry: ModelRegistry
    ledger: RunLedger
    results: DynamoTable
    sqs: Any
    cloudwatch: Any
    settings: ConsoleSettings
    clock: Callable[[], datetime] = lambda: datetime.now(UTC)

    def segments(self) -> Segments:
        """Of the classifier: counts and figures, nothing of any customer."""
        return Segments(champion=self._champion("classification"), watch=self.published.watch())

    def newest(self, user_id: str) -> Newest:
        """Of one person. Raises NotFoundError, which does not name anybody."""
        item = self.results.get({"user_id": user_id})
        if item is None or item["expires_at"] <= self.clock().timestamp():
            raise NotFoundError("there is no result of this person")
        return Newest.model_validate(item)

    def operation(self) -> Operation:
        """Raises UnavailableError."""
        settings = self.settings
        models = {leaf: self._champion(leaf) for leaf in _named(settings.trained)}
        with translated("queues and alarms"):
            answer = health.operation(
                self.ledger,
                self.sqs,
                self.cloudwatch,
                stage=settings.stage,
                jobs=_named(settings.jobs),
                keyed=_named(settings.keyed),
                queues=dict(pair.split("=", 1) for pair in _named(settings.queues)),
                answers=models.get("classification") is not None,
                gb_second=settings.gb_second,
                now=self.clock(),
            )
        return Operation(models=models, **answer)

    def _champion(self, leaf: str) -> ModelRow | None:
        if (champion := self.registry.champion(leaf)) is None:
            return None
        row = self.registry.row(leaf, champion.version) or {}
        return ModelRow(**champion.model_dump(), created_at=row.get("created_at"), figures=row.get("metrics", {}))


def _named(names: str) -> list[str]:
    return [name for name in names.split(",") if name]
