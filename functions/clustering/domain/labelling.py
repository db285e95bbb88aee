"""From a file of rides to the rows that are published: labelled ones, rejected ones, and what was counted."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from functions.clustering.contracts import LABEL_SCHEMA, REJECTED_SCHEMA, Flag, PartReport
from functions.clustering.domain.fit import Reservoir
from functions.clustering.domain.model import Model, label
from functions.clustering.domain.report import GRID, LISTED, cells, histogram, kind, most_severe, reasons
from functions.clustering.domain.table import REASONS, REPEATED, RideFile, Rides, hashes, repeated_ids
from functions.clustering.domain.verdicts import SEVERITIES, severe

ORDINARY_PLOTTED, ANOMALOUS_PLOTTED = 1_500, 500
# In memory what is the same in every row is there once; in the file these and what has few values have a dictionary.
ONCE = pa.dictionary(pa.int8(), pa.string())
ROWS = pa.schema([*list(LABEL_SCHEMA)[:-2], ("model_version", ONCE), ("run_id", ONCE)])
DICTIONARIES = ["label", "model_version", "run_id"]


def rows_writer(sink: Any, schema: pa.Schema = ROWS) -> pq.ParquetWriter:
    """A writer of labelled rows; what it writes is read as `LABEL_SCHEMA`."""
    return pq.ParquetWriter(sink, schema, use_dictionary=DICTIONARIES, store_schema=False)


class Labeller:
    """Labels files with one model and counts in `report`. `version` and `run_id` are written into every row."""

    def __init__(self, model: Model, version: str, run_id: str, part: int = 0) -> None:
        self._model, self._names, self.report = model, (version, run_id), PartReport(part=part)
        self._ordinary, self._anomalous = Reservoir(ORDINARY_PLOTTED, seed=0), Reservoir(ANOMALOUS_PLOTTED, seed=1)
        self._histogram, self._severe = np.zeros(GRID, np.int64), np.zeros(len(SEVERITIES), np.int64)

    def label(
        self, file: RideFile, repeated: frozenset[str] | None = None
    ) -> Iterator[tuple[pa.RecordBatch, pa.RecordBatch]]:
        """(labelled, rejected) rows of each chunk, in order; `repeated` ids of the whole file, if they are known.

        Of these the first valid ride is labelled. `report` is complete at the end: `found` by the footer, of CSV by the
        pass that looks at ids, `points` an even sample of at most 1,500 ordinary and 500 anomalous rides, `flagged` the
        1,000 most severe. Raises InputError when the file cannot be read.
        """
        own = [hashes(ids) for ids in file.ids()] if repeated is None else []
        repeated = repeated_ids(file, own) if repeated is None else repeated
        seen: set[str] = set()
        before = file.before()
        for earlier in before.rides() if before and repeated else ():
            _reject_repeated(earlier, earlier.rejections(), repeated, seen)
        for rides in file.rides():
            self.report.integer_ids &= rides.integer_ids
            why = rides.rejections()
            if repeated:
                _reject_repeated(rides, why, repeated, seen)
            wrong = why > 0
            self.report.rejected += int(wrong.sum())
            yield (
                self._labelled(rides, ~wrong),
                rejected_rows(file.name, rides.rows[wrong], [REASONS[code] for code in why[wrong]]),
            )
        self.report.found += sum(map(len, own)) if file.table.kind == "csv" else file.footer_rows()
        self.report.points = [
            (float(f"{km:.4g}"), float(f"{hours:.4g}"), anomalous)
            for anomalous, sample in ((False, self._ordinary), (True, self._anomalous))
            for km, hours in zip(*sample.rides(), strict=True)
        ]
        self.report.cells, self.report.severe = cells(self._histogram), self._severe.tolist()

    def _labelled(self, rides: Rides, accepted: NDArray[np.bool_]) -> pa.RecordBatch:
        dist, time, ids = rides.dist, rides.time, rides.ids
        if not accepted.all():
            dist, time, ids = dist[accepted], time[accepted], ids.filter(pa.array(accepted))
        labels = label(self._model, dist, time)
        anomalous, report = labels.is_anomaly, self.report
        report.rides += len(dist)
        report.anomalies += int(anomalous.sum())
        self._ordinary.add(dist[~anomalous], time[~anomalous])
        self._anomalous.add(dist[anomalous], time[anomalous])
        self._histogram += histogram(dist, time, anomalous)
        self._severe += severe(labels.severity[anomalous])
        words = reasons(self._model, dist[anomalous], time[anomalous])
        self._list(ids, dist, time, labels.severity, np.flatnonzero(anomalous), words)
        why = pc.replace_with_mask(pa.nulls(len(dist), pa.string()), anomalous, words)
        first = pa.array(np.zeros(len(dist), np.int8))
        names = [pa.DictionaryArray.from_arrays(first, pa.array([name])) for name in self._names]
        return pa.RecordBatch.from_arrays([ids, labels.label, anomalous, labels.severity, why, *names], schema=ROWS)

    def _list(self, ids: pa.Array, dist: Any, time: Any, severity: Any, flagged: Any, words: pa.Array) -> None:
        """Add those of the `flagged` rows, whose reasons are `words`, that are among the most severe of the report."""
        worst = np.argsort(-severity[flagged], kind="stable")[:LISTED]
        rows = flagged[worst]
        columns = (ids.take(pa.array(rows)), dist[rows], time[rows], severity[rows], words.take(pa.array(worst)))
        new = [
            Flag(ride_id=ride_id, ride_dist=km, ride_time=hours, severity=value, reason=why, kind=kind(why))
            for ride_id, km, hours, value, why in zip(*(column.tolist() for column in columns), strict=True)
        ]
        self.report.flagged = most_severe([*self.report.flagged, *new])


def _reject_repeated(rides: Rides, why: NDArray[np.int8], repeated: frozenset[str], seen: set[str]) -> None:
    """Say in `why` which rows have an id that a valid row before them had, and add those of valid rows to `seen`."""
    again = pc.is_in(rides.ids, pa.array(repeated, pa.string())).to_numpy(zero_copy_only=False)
    for i in np.flatnonzero(again & (why == 0)).tolist():
        ride_id = rides.ids[i].as_py()
        if ride_id in seen:
            why[i] = REPEATED
        seen.add(ride_id)


def rejected_rows(file: str, rows: Any, why: Any) -> pa.RecordBatch:
    """Rows of rejected.parquet; a row of None stands for a whole file."""
    columns = [pa.repeat(file, len(rows)), pa.array(rows, pa.int64()), pa.array(why, pa.string())]
    return pa.RecordBatch.from_arrays(columns, schema=REJECTED_SCHEMA)
