"""Answers: from memory, else from the table, else computed; approximated while a series has no model.

What computes is imported by the first call that needs it: a cached answer starts without numpy.
"""

import hashlib
import heapq
import json
import re
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from itertools import starmap
from math import fsum
from typing import TYPE_CHECKING, Any, Final, Literal, NamedTuple

from functions.forecasting.contracts import (
    BatchItem,
    FrequencyName,
    ModelEntry,
    Outlook,
    Override,
    OverrideRequest,
    Question,
    SelectionTotal,
    SeriesOverrides,
    Sort,
)
from functions.forecasting.domain import overrides
from functions.forecasting.settings import ForecastingSettings
from functions.forecasting.store import LEAF, Answers, Catalog, Histories, History, Models, Overrides, Row
from layers.runtime.errors import InputError, TrefoilError, UnavailableError
from layers.runtime.observability import logger
from layers.runtime.parsing import said_at
from layers.storage.registry import now

if TYPE_CHECKING:
    from functions.forecasting.domain.global_model import GlobalModel
    from functions.forecasting.domain.model import Trained

Source = Literal["memory", "table", "computed"]
LEVEL: Final = 0.95
FARTHEST: Final = 365  # periods ahead
OUTLOOK_SECONDS: Final = 2.0  # that a listing spends on planned outlooks which a new model or an expiry has outdated
PERIODS: Final = {"H": timedelta(hours=1), "D": timedelta(days=1), "W": timedelta(weeks=1)}


@dataclass(frozen=True)
class Answered:
    """A JSON body, its entity tag, and where it came from."""

    body: bytes
    etag: str
    source: Source


class Page(NamedTuple):
    """Series with their rows, whether `more` follow, and the totals of all that were asked for."""

    rows: list[tuple[str, Row]]
    more: bool
    totals: list[SelectionTotal]


class ForecastService:
    """Use cases of the API."""

    def __init__(
        self,
        histories: Histories,
        catalog: Catalog,
        models: Models,
        answers: Answers,
        words: Overrides,
        settings: ForecastingSettings,
    ) -> None:
        self._histories, self._catalog, self._models, self._answers = histories, catalog, models, answers
        self._overrides, self._settings = words, settings
        self._memory: dict[tuple[str, str], Answered] = {}  # the answer used last stands last
        self._approximations = lru_cache(50)(self._approximate)
        self._learned = lru_cache(1)(self._load_learned)

    def search(self, q: str, sort: Sort, limit: int, after: str) -> Page:
        """Up to `limit` series in the order of `sort` whose id contains `q` in any case: the first ones, or those
        behind the series `after`. Raises InputError when there is no series `after`.

        Series of equal rank, and those whose rank is unknown, which come last, are in order of their id. Numbers within
        ids count as numbers: 2 comes before 10.
        """
        wanted, rows, version = q.casefold(), self._catalog.rows(), self._models.version()
        if after and after not in rows:
            raise InputError("is not a next_cursor of this list", field="cursor")
        # The model that answers now is, after a rollback, not the one published last.
        index, newest = self._models.index(version) if version else {}, self._catalog.newest_times()
        planned = self._planned_outlooks(index)

        def entry_of(name: str) -> ModelEntry | None:
            return _coming(index.get(name), planned.get(name), newest[rows[name].frequency or "D"])

        def place(name: str, entry: ModelEntry | None) -> tuple[float, str, str]:
            return _rank(sort, rows[name], entry, newest), *_natural_key(name)

        entries = {name: entry_of(name) for name in rows if wanted in name.casefold()}
        start = place(after, entry_of(after)) if after else (float("-inf"), "", "")
        page = heapq.nsmallest(limit + 1, (one for one in starmap(place, entries.items()) if one > start))
        names = [name for *_, name in page[:limit]]
        return Page(
            [(name, rows[name].with_model(entries[name], version or "")) for name in names],
            len(page) > limit,
            _totals((rows[name].frequency or "D", entry.outlook) for name, entry in entries.items() if entry),
        )

    def history(self, series_id: str, start: date | None, end: date | None) -> dict[str, Any]:
        """Observed days between `start` and `end`, both included. Raises NotFoundError, InputError."""
        from functions.forecasting.domain import answer

        if start and end and start > end:
            raise InputError("start lies after end", field="start")
        return answer.history(self._histories.read(series_id).body, start, end)

    def similar(self, series_id: str, k: int) -> dict[str, Any]:
        """The `k` series of the same frequency with the most similar shape of demand and item. Raises NotFoundError."""
        from functions.forecasting.domain import answer

        body = self._histories.read(series_id).body
        rows = self._catalog.rows()
        step = {name: row.frequency or "D" for name, row in rows.items()}
        # A profile of zeros is that of a series too short to have one: near to all, like none.
        alike = {
            name: row
            for name, row in rows.items()
            if name != series_id and step[name] == step.get(series_id) and any(row.profile)
        }
        items = {name: row.item or {} for name, row in alike.items()}
        return answer.similar(body, {name: row.profile for name, row in alike.items()}, items, k)

    def forecast(self, question: Question) -> Answered:
        """Answer a question; every horizon begins after the newest observation of the catalog. Overrides of a series
        move its own forecast, and not that of a store like it. Raises NotFoundError, InputError."""
        answered, today = self._modelled(question), str(now().date())
        words = overrides.moving(self._overrides.read(question.series_id).items, today)
        if question.scale is not None or not words:
            return answered
        body = _dumped(overrides.apply(json.loads(answered.body), words))
        return Answered(body, _etag(body), answered.source)

    def override(self, series_id: str, request: OverrideRequest, by: str) -> dict[str, Any]:
        """Keep a person's word on coming periods, and list those of the series. Periods already
        observed are passed over. Raises NotFoundError, InputError, UnavailableError."""
        from functions.forecasting.domain import answer

        moment = now()
        request.check(moment.date())
        question = Question(series_id, None, LEVEL, {}, as_of=self._catalog.newest(series_id))
        body = self._histories.read(series_id).body
        first, last = answer.places(body, question, request.start, request.end)
        for wrong, field, why in (
            (last < first, "end", "lies before start"),
            (last < 0, "end", "lies before the forecast: it is observed"),
            (last >= FARTHEST, "end", f"lies more than {FARTHEST} periods ahead"),
        ):
            if wrong:
                raise InputError(why, field=f"body.{field}")
        points = json.loads(self._modelled(replace(question, horizon=last + 1)).body)["points"][max(first, 0) :]
        word = Override(
            **request.model_dump(include={"value", "factor", "reason"}),
            by=by,
            at=said_at(request.at, moment),
            expires=request.expires and str(request.expires),
            yhat={point["ds"]: point["yhat"] for point in points},
        )
        self._overrides.change(
            series_id, lambda words: words.model_copy(update={"items": overrides.merge(words.items, word)})
        )
        version = self._models.version()
        if version and (entry := self._models.index(version).get(series_id)):
            words = self._overrides.read(series_id)
            self._planned_outlook(series_id, words, entry, time.monotonic() + OUTLOOK_SECONDS)
        return self.list_overrides(series_id)

    def list_overrides(self, series_id: str) -> dict[str, Any]:
        """Overrides of a series with the value they added, as far as their periods are observed. Raises
        NotFoundError."""
        from functions.forecasting.domain import answer

        points = answer.history(self._histories.read(series_id).body, None, None)["points"]
        words = self._overrides.read(series_id).items
        return {"series_id": series_id, **overrides.account(words, {point["ds"]: point["y"] for point in points})}

    def _planned_outlooks(self, index: Mapping[str, ModelEntry]) -> dict[str, Outlook | None]:
        """Outlooks of series that have a model and that somebody spoke of."""
        end, series = time.monotonic() + OUTLOOK_SECONDS, self._overrides.all()
        return {
            name: self._planned_outlook(name, words, index[name], end)
            for name, words in series.items()
            if name in index
        }

    def _planned_outlook(self, name: str, words: SeriesOverrides, entry: ModelEntry, end: float) -> Outlook | None:
        """Outlook of the forecast as words move it today, None where none does; it is kept with them. One that a new
        model, an expiry or another word has outdated is computed again until `end`, and then shown as it is."""
        from functions.forecasting.domain import answer

        standing = overrides.moving(words.items, str(now().date()))
        basis = _etag("#".join([entry.sha256, *(one.at + one.by + str(len(one.yhat)) for one in standing)]).encode())
        if not standing or words.basis == basis or time.monotonic() > end:
            return words.outlook if standing else None
        question = Question(name, None, LEVEL, {}, as_of=self._catalog.newest(name))
        try:
            line = overrides.planned_line(overrides.apply(json.loads(self._modelled(question).body), standing))
            history = self._histories.read(name).body
            outlook = answer.planned_outlook(history, question, self._settings.holidays, line)
            update = {"outlook": outlook, "basis": basis}
            self._overrides.change(name, lambda newest: newest.model_copy(update=update))
        except TrefoilError:  # asking for this forecast tells; the others are listed all the same
            logger(LEAF).exception("planned outlook not computed", series_id=name)
            return words.outlook
        return outlook

    def _modelled(self, question: Question) -> Answered:
        """What the model says."""
        history = self._histories.read(question.series_id)
        newest = self._catalog.newest(question.series_id)
        question = replace(question, as_of=newest or None)
        champion = self._models.version()
        entry = self._models.index(champion).get(question.series_id) if champion else None
        item = f"{champion if entry else f'spot-{champion}'}#{history.name}#{question.hash()}"
        key = (question.series_id, item)
        answered = self._memory.pop(key, None)
        if answered is None:
            source: Source = "table"
            body = self._answers.get(*key)
            if body is None:
                body, source = self._compute(question, history, entry, champion), "computed"
                self._answers.put(*key, body)
            answered = Answered(body, _etag(body), source)
        self._memory[key] = replace(answered, source="memory")
        if len(self._memory) > self._settings.memory_answers:
            del self._memory[next(iter(self._memory))]
        return answered

    def _compute(self, question: Question, history: History, entry: ModelEntry | None, champion: str | None) -> bytes:
        from functions.forecasting.domain import answer, model

        days = answer.lay_out(history.body, question, self._settings.holidays)
        trained = model.load_model(self._models.body(entry)) if entry else None
        if trained is None or trained.frequency != days[0].frequency.code:  # or of days, as all models once were
            entry, trained = None, self._approximations(history, champion)
        learned = self._learned(champion) if champion and trained.kind in model.SHARED else None
        version = champion if champion and entry else f"spot-{history.name}"
        document = answer.forecast(question, *days, trained, version, learned, now=now())
        return _dumped(document)

    def _load_learned(self, version: str) -> "GlobalModel | None":
        from functions.forecasting.domain import global_model

        files = self._models.shared(version)
        return global_model.load(files) if files else None

    def _approximate(self, history: History, champion: str | None) -> "Trained":
        from functions.forecasting.domain import fit, holidays, series

        logger(LEAF).info("series without a model approximated", series_id=history.series_id)
        known, whole = self._settings.known_names, holidays.mark(series.load(history.body), self._settings.holidays)
        holdout = fit.holdout_of(whole.frequency, days=self._settings.holdout_days)
        learned = self._learned(champion) if champion else None
        shared = fit.Shared(learned, learned) if learned else None
        return fit.train(
            whole, history=history.name, holdout=holdout, now=now(), known=known, exact=False, shared=shared
        ).trained

    def batch(self, items: Sequence[BatchItem]) -> list[tuple[str, Answered | TrefoilError]]:
        """An answer or an error for each item, in order; none is begun after the time of one call."""
        end = time.monotonic() + self._settings.batch_seconds
        results: list[tuple[str, Answered | TrefoilError]] = []
        for item in items:
            try:
                question = item.question()
                if time.monotonic() > end:
                    raise UnavailableError("was not reached in the time of one call", retry_after=1)
                results.append((item.id, self.forecast(question)))
            except TrefoilError as exc:
                results.append((item.id, exc))
        return results


def _dumped(document: dict[str, Any]) -> bytes:
    return json.dumps(document, separators=(",", ":"), allow_nan=False).encode()


def _etag(body: bytes) -> str:
    return hashlib.sha256(body).hexdigest()[:32]


def _coming(entry: ModelEntry | None, planned: Outlook | None, newest: str) -> ModelEntry | None:
    """The entry with the outlook that people planned, if any; without one whose peak is not to come any more: it was
    told before sales went on."""
    if entry is None:
        return None
    outlook = planned or entry.outlook
    past = outlook and (outlook.peak_start or newest) < newest
    return entry.model_copy(update={"outlook": None if past else outlook})


def _totals(outlooks: Iterable[tuple[FrequencyName, Outlook | None]]) -> list[SelectionTotal]:
    groups: dict[FrequencyName, list[Outlook]] = {}
    for frequency, outlook in outlooks:
        if outlook:
            groups.setdefault(frequency, []).append(outlook)
    totals = []
    for frequency, group in sorted(groups.items()):
        usual = [(one.total, one.total / one.against_usual) for one in group if one.against_usual]
        coming, before = (fsum(values) for values in zip(*usual, strict=True)) if usual else (0.0, 0.0)
        ratio = round(coming / before, 4) if before > 0 else None
        total = round(fsum(one.total for one in group), 4)
        totals.append(SelectionTotal(frequency=frequency, series=len(group), total=total, against_usual=ratio))
    return totals


def _rank(sort: Sort, row: Row, entry: ModelEntry | None, newest: Mapping[str, str]) -> float:
    """Where a series stands in the order of `sort`; infinite where that is unknown."""
    value: float | None = 0.0
    if sort == "skill":
        value = entry.skill if entry else None
    elif sort == "-peak_against_usual":
        value = entry.outlook.peak_against_usual if entry and entry.outlook else None
    elif sort == "-staleness":
        kind = row.frequency or "D"
        value = staleness(kind, row.last_ds, newest[kind]) if row.last_ds else None
    return float("inf") if value is None else -value if sort.startswith("-") else value


def staleness(frequency: FrequencyName, last_ds: str, newest: str) -> int:
    """Periods from one observation to another, 0 when it is not before it."""
    last, end = datetime.fromisoformat(last_ds), datetime.fromisoformat(newest)
    if frequency in "MQ":
        return max(0, (12 * (end.year - last.year) + end.month - last.month) // (1 if frequency == "M" else 3))
    last, end = (one if one.tzinfo else one.replace(tzinfo=UTC) for one in (last, end))
    return max(0, (end - last) // PERIODS[frequency])


def _natural_key(series_id: str) -> tuple[str, str]:
    """What to sort ids by as people do, numbers within them as numbers, and the id itself."""
    return re.sub(r"\d+", lambda number: number[0].zfill(20), series_id), series_id
