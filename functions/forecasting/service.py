"""Answers: from memory, else from the table, else computed; fitted on the spot when there is no model yet.

What computes is imported by the first call that needs it: a cached answer starts without numpy.
"""

import hashlib
import heapq
import json
import math
import time
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime
from typing import TYPE_CHECKING, Any, Final, Literal

from functions.forecasting.catalog import Catalog, Model, Row
from functions.forecasting.contracts import MAX_FITS, BatchItem, ModelEntry, Question
from functions.forecasting.domain.identity import natural_key
from functions.forecasting.store import LEAF, Answers, Histories, History, Models, Recent, parse_trained
from layers.runtime.errors import InputError, TrefoilError, UnavailableError
from layers.runtime.observability import logger

if TYPE_CHECKING:
    from functions.forecasting.domain.model import Trained
    from functions.forecasting.domain.series import Series

WAIT: Final = 0.15
FIT_SECONDS: Final = 2
NEVER: Final = -math.inf

Source = Literal["memory", "table", "computed"]


@dataclass(frozen=True)
class Answered:
    """A JSON body, its entity tag, and where it came from."""

    body: bytes
    etag: str
    source: Source


class ForecastService:
    """Use cases of the API. `fit` trains a series: (series, hash of its history) -> model."""

    def __init__(
        self,
        *,
        histories: Histories,
        catalog: Catalog,
        models: Models,
        answers: Answers,
        fit: Callable[["Series", str], "Trained"],
        memory: int,
        lease: int,
        batch_seconds: float,
    ) -> None:
        self._histories, self._catalog, self._models, self._answers = histories, catalog, models, answers
        self._fit, self._lease, self._batch_seconds = fit, lease, batch_seconds
        self._memory: Recent[Answered] = Recent(memory)
        self._spot: Recent[Trained] = Recent(50)

    def search(self, q: str, limit: int, after: str) -> tuple[list[tuple[str, Row]], bool]:
        """Up to `limit` series behind `after` whose id contains `q` in any case, and whether more follow.

        Numbers within ids count as numbers: 2 comes before 10.
        """
        wanted, rows, start = q.casefold(), self._catalog.rows(), natural_key(after)
        keys = (natural_key(name) for name in rows if wanted in name.casefold())
        page = heapq.nsmallest(limit + 1, (key for key in keys if key > start))
        return self._current([(name, rows[name]) for _, name in page[:limit]]), len(page) > limit

    def _current(self, found: list[tuple[str, Row]]) -> list[tuple[str, Row]]:
        """With the model that answers now, which after a rollback is not the one published last."""
        version = self._models.version()
        if version is None or all(row.model and row.model.version == version for _, row in found):
            return found
        index = self._models.index(version)
        current = []
        for series_id, row in found:
            entry = index.get(series_id)
            summary = Model(kind=entry.kind, version=version, skill=entry.skill) if entry else None
            current.append((series_id, row.model_copy(update={"model": summary})))
        return current

    def history(self, series_id: str, start: date | None, end: date | None) -> dict[str, Any]:
        """Observed days between `start` and `end`, both included. Raises NotFoundError, InputError."""
        from functions.forecasting import documents

        if start and end and start > end:
            raise InputError("start lies after end", field="start")
        return documents.history(self._histories.read(series_id).series, start, end)

    def similar(self, series_id: str, k: int) -> dict[str, Any]:
        """The `k` series whose demand has the most similar shape. Raises NotFoundError."""
        from functions.forecasting import documents

        series = self._histories.read(series_id).series
        # A profile of zeros is that of a series too short to have one: near to all, like none.
        profiles = {n: row.profile for n, row in self._catalog.rows().items() if n != series_id and any(row.profile)}
        return documents.similar(series, profiles, k)

    def forecast(self, question: Question, *, end: float = math.inf) -> Answered:
        """Answer a question; every horizon begins after the newest observation of the catalog. Raises NotFoundError,
        InputError, and UnavailableError for a fit that is not there within the lease and before `end` (monotonic)."""
        history = self._histories.read(question.series_id)
        newest = self._catalog.newest()
        question = replace(question, as_of=date.fromisoformat(newest) if newest else None)
        version = self._models.version()
        entry = self._models.index(version).get(question.series_id) if version else None
        spot = f"spot-{history.name}"
        item = f"{version if entry else spot}#{history.name}#{question.hash()}"
        key = (question.series_id, item)
        if (held := self._memory.get(key)) is not None:
            return Answered(held.body, held.etag, "memory")
        body = self._answers.get(question.series_id, item)
        source: Source = "table"
        if body is None:
            body, source = self._computed(question, history, entry, version if entry else spot, end), "computed"
            self._answers.put(question.series_id, item, body)
        answered = Answered(body, hashlib.sha256(body).hexdigest()[:32], source)
        self._memory.put(key, answered)
        return answered

    def _computed(
        self, question: Question, history: History, entry: ModelEntry | None, version: str | None, end: float
    ) -> bytes:
        from functions.forecasting import documents

        laid = documents.laid_out(history.series, question)
        trained = self._models.trained(entry) if entry else self._on_the_spot(history, end)
        document = documents.answer(question, history.series, laid, trained, version or "")
        return json.dumps(document, separators=(",", ":"), allow_nan=False).encode()

    def _on_the_spot(self, history: History, end: float) -> "Trained":
        """The fit of this history, made by whoever claims it first; the others wait for it."""
        if (held := self._spot.get((history.series_id, history.name))) is not None:
            return held
        item, waited = f"spot-{history.name}#model", min(end, time.monotonic() + self._lease)
        while (body := self._answers.get(history.series_id, item)) is None:
            if end == NEVER:
                raise UnavailableError("has no model yet and others are fitted first", retry_after=FIT_SECONDS)
            if claim := self._answers.claim(history.series_id, item, self._lease):
                body = self._fit_and_keep(history, item, claim)
                break
            if time.monotonic() > waited:
                raise UnavailableError("is being fitted", retry_after=FIT_SECONDS)
            time.sleep(WAIT)
        trained = parse_trained(body)
        self._spot.put((history.series_id, history.name), trained)
        return trained

    def _fit_and_keep(self, history: History, item: str, claim: str) -> bytes:
        try:
            body = self._fit(history.series, history.name).model_dump_json().encode()
        except BaseException:
            self._answers.release(history.series_id, item, claim)
            raise
        self._answers.put(history.series_id, item, body)
        logger(LEAF).info("series fitted on the spot", series_id=history.series_id)
        return body

    def batch(self, items: Sequence[BatchItem]) -> list[tuple[str, Answered | TrefoilError]]:
        """An answer or an error for each item, in order; at most ten are fitted, and none is begun after the time."""
        fits, end = MAX_FITS, time.monotonic() + self._batch_seconds
        results: list[tuple[str, Answered | TrefoilError]] = []
        for item in items:
            try:
                question = asked(item)
                if time.monotonic() > end:
                    raise UnavailableError("was not reached in the time of one call", retry_after=1)
                answered = self._maybe_fitted(question, end if fits else NEVER)
                fits -= answered[1]
                results.append((item.id, answered[0]))
            except TrefoilError as exc:
                results.append((item.id, exc))
        return results

    def _maybe_fitted(self, question: Question, end: float) -> tuple[Answered, int]:
        known = (question.series_id, self._histories.read(question.series_id).name)
        version = self._models.version()
        modelled = version is not None and question.series_id in self._models.index(version)
        before = modelled or self._spot.get(known) is not None
        answered = self.forecast(question, end=end)
        return answered, int(not before and self._spot.get(known) is not None)


def asked(item: BatchItem) -> Question:
    """The question of a batch item. Raises InputError unless it names a series, or `like` with `scale`."""
    if (item.series_id is None) == (item.like is None):
        raise InputError("give either series_id or like with scale", field="series_id")
    if (item.like is None) != (item.scale is None):
        raise InputError("like and scale come together", field="scale")
    series_id = item.series_id or item.like or ""
    return Question(series_id, item.horizon, item.level, item.future, item.scale)


def trainer(
    holdout: int, clock: Callable[[], datetime], known: Collection[str] = ()
) -> Callable[["Series", str], "Trained"]:
    """A `fit` for the service that trains here and now; Prophet is imported at the first call."""

    def fit(series: "Series", history: str) -> "Trained":
        from functions.forecasting.domain.training import train

        return train(series, history=history, holdout=holdout, now=clock(), known=known).trained

    return fit
