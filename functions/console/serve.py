"""What the console answers, from what the leaves publish."""

import re
from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime, timedelta
from statistics import median

from functions.console.contracts import TIMES, DayPage, DayRow, FlagPage, JudgedFlag, Manifest, Verdict, Word
from functions.console.settings import ConsoleSettings
from functions.console.store import Days, hash_of
from layers.runtime.errors import InputError, LimitError, NotFoundError

SHOWN, LONGEST, FEWEST = 31, 366, 3
AHEAD = timedelta(minutes=5)
DAY = timedelta(days=1)
CURSOR = re.compile(r"([0-9.e+]{1,32})_([0-9a-f]{32})")


class RideService:
    """Days of rides, their flags, and what people say of these."""

    def __init__(
        self, days: Days, settings: ConsoleSettings, clock: Callable[[], datetime] = lambda: datetime.now(UTC)
    ) -> None:
        self._days, self._settings, self._clock = days, settings, clock

    def days(self, first: date | None, last: date | None) -> list[DayRow]:
        """Published days, oldest first: by default the 31 that end with the newest. Raises InputError, LimitError."""
        if first and last and last < first:
            raise InputError("ends before it begins", field="query.to")
        last = last or self._days.newest()
        if last is None or (first and last < first):
            return []
        first = first or max(last - (SHOWN - 1) * DAY, date(1970, 1, 1))
        if (last - first).days >= LONGEST:
            raise LimitError(f"at most {LONGEST} days are told at once", field="query.from")
        manifests = self._days.manifests(self._usual_from(first), last)
        verdicts = self._days.verdicts(first, last)
        return [self._row(day, manifests, verdicts.get(day, {})) for day in manifests if day >= first]

    def day(self, day: date) -> DayPage:
        """Raises NotFoundError."""
        manifests = self._days.manifests(self._usual_from(day), day)
        manifest = _of(manifests, day)
        row = self._row(day, manifests, self._days.verdicts(day, day).get(day, {}))
        return DayPage(**manifest.model_dump() | row.model_dump(), plot=self._days.plot(day, manifest.run_id))

    def flags(
        self, day: date, *, reason: str = "", min_severity: float = 0.0, limit: int = 50, cursor: str = ""
    ) -> FlagPage:
        """Most severe first, those whose reason contains `reason`, in any case. Raises NotFoundError, InputError."""
        manifest = _of(self._days.manifests(day, day), day)
        flags = self._days.flags(day, manifest.run_id)
        matching = [
            (-flag.severity, name, flag)
            for name, flag in flags.items()
            if reason.casefold() in flag.reason.casefold() and flag.severity >= min_severity
        ]
        rest = [one for one in matching if one[:2] > _position(cursor)] if cursor else matching
        verdicts = self._days.verdicts(day, day).get(day, {})
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
        now = self._clock()
        at = (word.at or now).astimezone(UTC)
        if at > now + AHEAD:
            raise InputError("is not yet", field="body.at")
        run_id = _of(self._days.manifests(day, day), day).run_id
        if hash_of(ride_id) not in self._days.flags(day, run_id) and self._days.verdict(day, ride_id) is None:
            raise NotFoundError(f"no such ride is among the most severe flags of {day}")
        said = {"ride_id": ride_id, "run_id": run_id, "verdict": word.verdict, "note": word.note, "by": by}
        return self._days.judge(day, Verdict(**said, at=f"{at:{TIMES}}"))

    def _usual_from(self, day: date) -> date:
        return max(day - self._settings.usual_days * DAY, date(1970, 1, 1))

    def _row(self, day: date, manifests: Mapping[date, Manifest], verdicts: Mapping[str, Verdict]) -> DayRow:
        manifest = manifests[day]
        before = [_share(one) for other, one in manifests.items() if self._usual_from(day) <= other < day]
        words = [verdict.verdict for verdict in verdicts.values()]
        return DayRow(
            dt=day,
            **manifest.model_dump(include={"run_id", "rides", "anomalies", "rejected"}),
            share=_share(manifest),
            usual_share=median(before) if len(before) >= FEWEST else None,
            confirmed=words.count("confirmed"),
            false_alarms=words.count("false_alarm"),
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
