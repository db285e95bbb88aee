"""The end of a run: its counts are merged and it becomes the day's truth, or its failure is recorded."""

import io
import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

import pyarrow.parquet as pq
from pydantic import ValidationError

from functions.clustering.contracts import REJECTED_SCHEMA, DayManifest, FitAnswer, FitReport, PartReport
from functions.clustering.domain.report import USUAL_DAYS, against_usual, draw, figures, most_severe, plot
from functions.clustering.store import LEAF, Paths
from layers.runtime.errors import ConflictError, CorruptError, NotFoundError, UnreconciledError, cause_of
from layers.runtime.observability import logger, metrics
from layers.storage.ledger import Outcome, Run, RunLedger
from layers.storage.objects import S3Objects

READERS = 8


@dataclass
class PublishService:
    """Ends a run. Doing it twice changes nothing more."""

    lake: S3Objects
    ledger: RunLedger

    def publish(self, answer: FitAnswer) -> dict[str, Any]:
        """Publish the run, or record that it failed. A run that another one took over changes nothing."""
        status, counts = self._end(answer)
        for name, of in (("DaysPublished", "published"), ("DaysEmpty", "empty")):
            metrics(LEAF).add_metric(name=name, unit="Count", value=float(status == of))
        return {"status": status, "dt": str(answer.dt), "run_id": answer.run_id, **counts}

    def _end(self, answer: FitAnswer) -> tuple[str, dict[str, int]]:
        run, paths = self.ledger.get(LEAF, str(answer.dt)), Paths(answer.dt, answer.run_id)
        if run is None or run.run_id != answer.run_id:
            logger(LEAF).warning("run was taken over", dt=str(answer.dt), run_id=answer.run_id)
            return "taken over", {}
        standing, etag = self._standing(paths)
        published = standing is not None and standing.run_id == answer.run_id
        if answer.error is not None and not published:
            return self._failed(answer, run)
        fit, parts = self._reports(paths)
        summary = fit.model_dump(exclude={"parts", "max_speed_kmh"})
        summary |= figures(parts, fit.verdicts, fit.max_speed_kmh)
        spent = answer.gb_seconds + sum(part.gb_seconds for part in parts)
        if not summary["rides"]:
            return self._empty(run, paths, parts, {name: summary[name] for name in ("rejected", "files")}, spent)
        if not published:
            usual, far = against_usual(summary["rides"], summary["anomalies"], self._shares_before(answer.dt))
            about = {"run_id": answer.run_id, "usual_share": usual, "far_from_usual": far}
            manifest = DayManifest.model_validate(summary | about)
            self._write_reports(paths, summary | manifest.model_dump(mode="json"), parts, f"Rides of {answer.dt}")
            try:
                body = (manifest.model_dump_json() + "\n").encode()
                self.lake.put(paths.manifest, body, if_match=etag, if_absent=etag is None)
            except (ConflictError, NotFoundError):  # published meanwhile, by this run or by the one that took over
                return self._end(answer)
        # Of earlier runs all, of this one the plan, which nobody reads again. Run ids begin with their time: a later
        # run, which may have taken over this moment, is left alone.
        self._tag(answer, lambda run_id, top: run_id < answer.run_id or (run_id == answer.run_id and top == "plans"))
        counts = {name: summary[name] for name in ("rides", "anomalies", "rejected", "files")}
        if self._finish(run, "done", counts=counts, gb_seconds=spent):
            for name in ("Rides", "Anomalies", "Rejected"):
                metrics(LEAF).add_metric(name=name, unit="Count", value=counts[name.lower()])
        logger(LEAF).info("day published", dt=run.key, run_id=run.run_id, counts=counts)
        return "published", counts

    def _standing(self, paths: Paths) -> tuple[DayManifest | None, str | None]:
        try:
            body, etag = self.lake.get_tagged(paths.manifest)
        except NotFoundError:
            return None, None
        try:
            return DayManifest.model_validate_json(body), etag
        except ValidationError:  # not written by us: it is replaced
            return None, etag

    def _shares_before(self, day: date) -> list[float]:
        """Shares flagged of the published ones of the four weeks before a day."""
        days = (Paths(day - timedelta(days=back)) for back in range(1, USUAL_DAYS + 1))
        with ThreadPoolExecutor(READERS) as pool:
            manifests = [manifest for manifest, _ in pool.map(self._standing, days) if manifest]
        return [one.anomalies / one.rides for one in manifests if one.rides]

    def _reports(self, paths: Paths) -> tuple[FitReport, list[PartReport]]:
        """What `fit` and every `label` call left. Raises CorruptError when one is missing, UnreconciledError unless
        every ride of every object came out once, labelled or rejected."""
        try:
            fit = FitReport.model_validate_json(self.lake.get(paths.fit))
            with ThreadPoolExecutor(READERS) as pool:
                bodies = pool.map(lambda part: self.lake.get(paths.counted(part)), range(fit.parts))
                parts = [PartReport.model_validate_json(body) for body in bodies]
        except (NotFoundError, ValidationError) as exc:
            raise CorruptError("a part of the run left no report") from exc
        rows, written, files = (sum(getattr(part, name) for part in parts) for name in ("found", "written", "files"))
        counted = sum(part.rides + part.rejected for part in parts)
        if not rows == written == counted or files != fit.files:
            counts = (
                f"{rows} rides in {files} of {fit.files} objects, {counted} labelled or rejected, {written} written"
            )
            raise UnreconciledError(counts)
        return fit, parts

    def _write_reports(self, paths: Paths, summary: dict[str, Any], parts: list[PartReport], title: str) -> None:
        summary["seconds"] = round(sum(part.seconds for part in parts), 2)
        self.lake.put(paths.reports + "rejected.parquet", self._rejected(paths, parts))
        self.lake.put(paths.reports + "summary.json", json.dumps(summary).encode())
        self.lake.put(paths.reports + "plot.png", draw(parts, title))
        self.lake.put(paths.reports + "plot.json", plot(parts).model_dump_json().encode())
        flags = most_severe(flag for part in parts for flag in part.flagged)
        self.lake.put(paths.reports + "flagged.json", json.dumps([flag.model_dump() for flag in flags]).encode())

    def _rejected(self, paths: Paths, parts: list[PartReport]) -> bytes:
        buffer = io.BytesIO()
        with pq.ParquetWriter(buffer, REJECTED_SCHEMA) as writer:
            for part in parts:
                if part.rejected:
                    writer.write_table(pq.read_table(io.BytesIO(self.lake.get(paths.rejected(part.part)))))
        return buffer.getvalue()

    def _tag(self, answer: FitAnswer, chosen: Callable[[str, str], bool]) -> None:
        """Tag objects of the day as superseded whose (run id, top folder) is `chosen`."""
        old: list[str] = []
        for prefix in Paths(answer.dt).of_runs:
            for info in self.lake.list(prefix):
                run_id = info.key.removeprefix(f"{prefix}run=").split("/")[0].removesuffix(".json")
                if chosen(run_id, prefix.split("/")[0]):
                    old.append(info.key)
        with ThreadPoolExecutor(READERS) as pool:
            list(pool.map(lambda key: self.lake.tag(key, superseded="true"), old))

    def _empty(
        self, run: Run, paths: Paths, parts: list[PartReport], counts: dict[str, int], spent: float
    ) -> tuple[str, dict[str, int]]:
        """The day's objects hold no ride: it has no new truth, and an earlier one stays."""
        why = f"{paths.reports}rejected.parquet"
        self.lake.put(why, self._rejected(paths, parts))
        logger(LEAF).error("day has no valid ride", dt=run.key, run_id=run.run_id, files=counts["files"])
        self._finish(run, "empty", counts=counts, gb_seconds=spent, detail=f"no valid ride: {why} says why")
        return "empty", {}

    def _failed(self, answer: FitAnswer, run: Run) -> tuple[str, dict[str, int]]:
        """Told first by the item that failed, then by the map, which does not know the cause: the first word stays."""
        cause = cause_of(answer.error or {})
        logger(LEAF).error("run failed", dt=run.key, run_id=run.run_id, cause=cause)
        self._tag(answer, lambda run_id, _: run_id == answer.run_id)
        self._finish(run, "failed", gb_seconds=answer.gb_seconds, detail=cause)
        return "failed", {}

    def _finish(self, run: Run, outcome: Outcome, **about: Any) -> bool:
        """Whether this call ended the run: an earlier one may have, and its word stays."""
        if run.outcome != "running":
            return False
        self.ledger.finish(run, outcome, **about)
        return True
