"""From a file of rides to the rows that are published: labelled ones, rejected ones, and what was counted."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from functions.clustering.contracts import LABEL_SCHEMA, REJECTED_SCHEMA, PartReport
from functions.clustering.domain.labelling import label
from functions.clustering.domain.model import Model
from functions.clustering.domain.reading import RideFile, Rides
from functions.clustering.domain.reasons import reasons
from functions.clustering.domain.sample import Reservoir
from functions.clustering.domain.scaling import Floats
from functions.clustering.domain.validity import REPEATED, Repeats, rejections
from layers.runtime.files import Limits

ORDINARY_PLOTTED, ANOMALOUS_PLOTTED = 1_500, 500


class Labeller:
    """Labels files with one model and counts. `version` and `run_id` are written into every row.

    `found` counts the rows of each file apart from the rest: by its footer, of CSV by the pass that looks at ids.
    """

    def __init__(self, model: Model, version: str, run_id: str) -> None:
        self._model, self._version, self._run_id = model, version, run_id
        self.rides = self.anomalies = self.rejected = self.found = 0
        self._clusters: Counter[int] = Counter()
        self._integer_ids = True
        self._ordinary, self._anomalous = Reservoir(ORDINARY_PLOTTED, seed=0), Reservoir(ANOMALOUS_PLOTTED, seed=1)

    def label(self, source: RideFile, *, unique: bool = False) -> Iterator[tuple[pa.Table, pa.Table]]:
        """(labelled, rejected) rows of each chunk, in order; `unique` when no ride id comes twice in the whole file.

        Raises InputError when the file cannot be read.
        """
        repeats = Repeats(()) if unique else repeats_in(source)
        for rides in source.rides():
            self._integer_ids &= rides.integer_ids
            why = rejections(rides)
            if repeats:
                why[repeats.find(rides.ids, ~why.astype(bool))] = REPEATED
            accepted = ~why.astype(bool)
            rejected = rejected_rows(source.name, rides.rows[~accepted], why[~accepted])
            self.rejected += rejected.num_rows
            yield self._labelled(rides, accepted), rejected
        self.found += repeats.rows if source.is_csv else source.footer_rows()

    def report(self, part: int) -> PartReport:
        """What was counted, with an even sample of at most 1,500 ordinary and 500 anomalous rides."""
        return PartReport(
            part=part,
            rides=self.rides,
            anomalies=self.anomalies,
            rejected=self.rejected,
            found=self.found,
            integer_ids=self._integer_ids,
            labels=dict(self._clusters),
            points=[
                (float(f"{km:.4g}"), float(f"{hours:.4g}"), anomalous)
                for anomalous, kept in ((False, self._ordinary), (True, self._anomalous))
                for km, hours in zip(*kept.rides(), strict=True)
            ],
        )

    def _labelled(self, rides: Rides, accepted: NDArray[np.bool_]) -> pa.Table:
        dist, time = rides.dist[accepted], rides.time[accepted]
        found = label(self._model, dist, time)
        anomalous = found.is_anomaly
        self.rides += len(dist)
        self.anomalies += int(anomalous.sum())
        values, counts = np.unique(found.label, return_counts=True)
        self._clusters.update(dict(zip(values.tolist(), counts.tolist(), strict=True)))
        self._ordinary.add(dist[~anomalous], time[~anomalous])
        self._anomalous.add(dist[anomalous], time[anomalous])
        why = pa.array(reasons(self._model, dist[anomalous], time[anomalous]), pa.string())
        return pa.Table.from_arrays(
            [
                rides.ids.filter(pa.array(accepted)),
                pa.array(found.label),
                pa.array(anomalous),
                pa.array(found.severity),
                pc.replace_with_mask(pa.nulls(len(dist), pa.string()), pa.array(anomalous), why),
                pa.repeat(self._version, len(dist)),
                pa.repeat(self._run_id, len(dist)),
            ],
            schema=LABEL_SCHEMA,
        )


def repeats_in(source: RideFile) -> Repeats:
    """What finds repeated ids in `source`, told of the row groups before the ones it names."""
    if source.row_groups is None or source.row_groups[0] == 0:
        return Repeats(source.ids())
    before = replace(source, row_groups=(0, source.row_groups[0]), first_row=0, limits=Limits())
    repeats = Repeats(source.ids(), before.ids())
    if repeats:
        for rides in before.rides():
            repeats.find(rides.ids, ~rejections(rides).astype(bool))
    return repeats


def rejected_rows(file: str, rows: NDArray[np.int64] | list[None], why: NDArray[np.object_] | list[str]) -> pa.Table:
    """Rows of rejected.parquet; a row of None stands for a whole file."""
    names = pa.repeat(file, len(rows))
    return pa.Table.from_arrays([names, pa.array(rows, pa.int64()), pa.array(why, pa.string())], schema=REJECTED_SCHEMA)


def usable(source: RideFile) -> Iterator[tuple[Floats, Floats]]:
    """Distance and time of the valid rides, for sampling; ids are not looked at."""
    for rides in source.rides():
        accepted = ~rejections(rides).astype(bool)
        yield rides.dist[accepted], rides.time[accepted]
