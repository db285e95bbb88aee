"""The end of a run: its counts are merged and it becomes the day's truth, or its failure is recorded."""

import io
import json
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Protocol

import pyarrow.parquet as pq
from pydantic import ValidationError

from functions.clustering.contracts import REJECTED_SCHEMA, DayManifest, FitAnswer, FitReport, PartReport, Paths
from functions.clustering.domain.picture import draw
from functions.clustering.domain.validity import unlikely_units
from layers.runtime.errors import ConflictError, CorruptError, NotFoundError, UnreconciledError, cause_of
from layers.runtime.observability import logger, metrics
from layers.storage.ledger import Run, RunLedger
from layers.storage.objects import ObjectInfo

LEAF = "clustering"
READERS = 8
PLOTTED = 20_000


class Lake(Protocol):
    """The lake: what `label` wrote in, the day's truth out."""

    def list(self, prefix: str) -> Iterator[ObjectInfo]: ...
    def get_tagged(self, key: str) -> tuple[bytes, str]: ...
    def put(self, key: str, body: bytes, *, if_match: str | None = None, if_absent: bool = False) -> str: ...
    def tag(self, key: str, **tags: str) -> None: ...


@dataclass
class PublishService:
    """Ends a run. Doing it twice changes nothing more."""

    lake: Lake
    ledger: RunLedger

    def publish(self, answer: FitAnswer) -> dict[str, Any]:
        """Publish the run, or record that it failed. A run that another one took over changes nothing."""
        ended = self._end(answer)
        for name, status in (("DaysPublished", "published"), ("DaysEmpty", "empty")):
            metrics(LEAF).add_metric(name=name, unit="Count", value=float(ended["status"] == status))
        return ended

    def _end(self, answer: FitAnswer) -> dict[str, Any]:
        run = self.ledger.get(LEAF, str(answer.dt))
        if run is None or run.run_id != answer.run_id:
            logger(LEAF).warning("run was taken over", dt=str(answer.dt), run_id=answer.run_id)
            return {"status": "taken over", "dt": str(answer.dt), "run_id": answer.run_id}
        paths = Paths(answer.dt, answer.run_id)
        standing, etag = self._standing(paths)
        published = standing is not None and standing.run_id == answer.run_id
        if answer.error is not None and not published:
            return self._failed(answer, run)
        fit, parts = self._reports(paths)
        if not any(part.rides for part in parts):
            return self._empty(answer, run, paths, fit, parts)
        manifest = standing
        if standing is None or not published:
            manifest = self._manifest(answer, fit, parts)
            self._write_reports(answer, paths, fit, parts, manifest)
            try:
                body = (manifest.model_dump_json() + "\n").encode()
                self.lake.put(paths.manifest, body, if_match=etag, if_absent=etag is None)
            except (ConflictError, NotFoundError):  # published meanwhile, by this run or by the one that took over
                return self._end(answer)
        self._tag_superseded(answer)
        return self._finish(answer, run, fit, parts)

    def _standing(self, paths: Paths) -> tuple[DayManifest | None, str | None]:
        try:
            body, etag = self.lake.get_tagged(paths.manifest)
        except NotFoundError:
            return None, None
        try:
            return DayManifest.model_validate_json(body), etag
        except ValidationError:  # not written by us: it is replaced
            return None, etag

    def _reports(self, paths: Paths) -> tuple[FitReport, list[PartReport]]:
        """What `fit` and every `label` call left. Raises CorruptError when one is missing or the counts differ."""
        try:
            fit = FitReport.model_validate_json(self.lake.get_tagged(paths.fit)[0])
            with ThreadPoolExecutor(READERS) as pool:
                bodies = pool.map(lambda part: self.lake.get_tagged(paths.counted(part))[0], range(fit.parts))
                parts = [PartReport.model_validate_json(body) for body in bodies]
        except (NotFoundError, ValidationError) as exc:
            raise CorruptError("a part of the run left no report") from exc
        reconcile(fit, parts)
        return fit, parts

    def _manifest(self, answer: FitAnswer, fit: FitReport, parts: list[PartReport]) -> DayManifest:
        return DayManifest(
            run_id=answer.run_id,
            rides=sum(part.rides for part in parts),
            anomalies=sum(part.anomalies for part in parts),
            rejected=sum(part.rejected for part in parts),
            files=fit.files,
            clusters=fit.clusters,
            eps=fit.eps,
            min_samples=fit.min_samples,
            silhouette=fit.silhouette,
            sampled_from=fit.sampled_from,
            model_version=fit.model_version,
        )

    def _write_reports(
        self, answer: FitAnswer, paths: Paths, fit: FitReport, parts: list[PartReport], manifest: DayManifest
    ) -> None:
        labels = Counter[int]()
        for part in parts:
            labels.update(part.labels)
        summary = manifest.model_dump(mode="json") | {
            "sampled": fit.sampled,
            "rides_per_label": {str(label): labels[label] for label in sorted(labels)},
            "seconds": round(sum(part.seconds for part in parts), 2),
            "warnings": unlikely_units(point for part in parts for point in part.points),
        }
        self.lake.put(paths.reports + "rejected.parquet", self._rejected(paths, parts))
        self.lake.put(paths.reports + "summary.json", json.dumps(summary).encode())
        share = max(1, -(-sum(len(part.points) for part in parts) // PLOTTED))
        points = [point for part in parts for point in part.points[::share]]
        title = f"Rides of {answer.dt}"
        self.lake.put(paths.reports + "plot.png", draw(points, manifest.rides, manifest.anomalies, title))

    def _rejected(self, paths: Paths, parts: list[PartReport]) -> bytes:
        buffer = io.BytesIO()
        with pq.ParquetWriter(buffer, REJECTED_SCHEMA) as writer:
            for part in parts:
                if part.rejected:
                    writer.write_table(pq.read_table(io.BytesIO(self.lake.get_tagged(paths.rejected(part.part))[0])))
        return buffer.getvalue()

    def _tag_superseded(self, answer: FitAnswer) -> None:
        """Tag objects of earlier runs of the day, and this one's plan, which nobody reads again.

        Run ids begin with their time. A later run, which may have taken over this moment, is left alone.
        """
        self._tag(answer, lambda run_id, top: run_id < answer.run_id or (run_id == answer.run_id and top == "plans"))

    def _tag(self, answer: FitAnswer, chosen: Callable[[str, str], bool]) -> None:
        old: list[str] = []
        for prefix in Paths(answer.dt).of_runs:
            for info in self.lake.list(prefix):
                run_id = info.key.removeprefix(f"{prefix}run=").split("/")[0].removesuffix(".json")
                if chosen(run_id, prefix.split("/")[0]):
                    old.append(info.key)
        with ThreadPoolExecutor(READERS) as pool:
            list(pool.map(lambda key: self.lake.tag(key, superseded="true"), old))

    def _empty(
        self, answer: FitAnswer, run: Run, paths: Paths, fit: FitReport, parts: list[PartReport]
    ) -> dict[str, Any]:
        """The day's objects hold no ride: it has no new truth, and an earlier one stays."""
        why = f"{paths.reports}rejected.parquet"
        self.lake.put(why, self._rejected(paths, parts))
        logger(LEAF).error("day has no valid ride", dt=str(answer.dt), run_id=answer.run_id, files=fit.files)
        if run.outcome == "running":
            counts = {"rejected": sum(part.rejected for part in parts), "files": fit.files}
            spent = answer.gb_seconds + sum(part.gb_seconds for part in parts)
            self.ledger.finish(run, "empty", counts=counts, gb_seconds=spent, detail=f"no valid ride: {why} says why")
        return {"status": "empty", "dt": str(answer.dt), "run_id": answer.run_id}

    def _failed(self, answer: FitAnswer, run: Run) -> dict[str, Any]:
        """Told first by the item that failed, then by the map, which does not know the cause: the first word stays."""
        cause = cause_of(answer.error or {})
        logger(LEAF).error("run failed", dt=str(answer.dt), run_id=answer.run_id, cause=cause)
        self._tag(answer, lambda run_id, _: run_id == answer.run_id)
        if run.outcome == "running":
            self.ledger.finish(run, "failed", gb_seconds=answer.gb_seconds, detail=cause)
        return {"status": "failed", "dt": str(answer.dt), "run_id": answer.run_id}

    def _finish(self, answer: FitAnswer, run: Run, fit: FitReport, parts: list[PartReport]) -> dict[str, Any]:
        counts = {
            "rides": sum(part.rides for part in parts),
            "anomalies": sum(part.anomalies for part in parts),
            "rejected": sum(part.rejected for part in parts),
            "files": fit.files,
        }
        if run.outcome == "running":
            spent = answer.gb_seconds + sum(part.gb_seconds for part in parts)
            self.ledger.finish(run, "done", counts=counts, gb_seconds=spent)
            for name in ("Rides", "Anomalies", "Rejected"):
                metrics(LEAF).add_metric(name=name, unit="Count", value=counts[name.lower()])
        logger(LEAF).info("day published", dt=str(answer.dt), run_id=answer.run_id, counts=counts)
        return {"status": "published", "dt": str(answer.dt), "run_id": answer.run_id, **counts}


def reconcile(fit: FitReport, parts: list[PartReport]) -> None:
    """Raise UnreconciledError unless every ride of every object came out once, labelled or rejected."""
    found, written = sum(part.found for part in parts), sum(part.written for part in parts)
    counted = sum(part.rides + part.rejected for part in parts)
    files = sum(part.files for part in parts)
    if not found == written == counted or files != fit.files:
        said = f"{found} rides in {files} of {fit.files} objects, {counted} labelled or rejected, {written} written"
        raise UnreconciledError(said)
