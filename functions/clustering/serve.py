"""The work of a run: label the rides of one item of the plan."""

import io
import time
from dataclasses import dataclass, field

import pyarrow.parquet as pq

from functions.clustering.contracts import REJECTED_SCHEMA, PartReport, PlanItem, Source
from functions.clustering.domain.labelling import Labeller, rejected_rows, rows_writer
from functions.clustering.domain.model import Model
from functions.clustering.settings import ClusteringSettings
from functions.clustering.store import LEAF, Paths, opened
from layers.runtime.errors import InputError
from layers.runtime.files import Limits
from layers.storage.objects import S3Objects
from layers.storage.registry import ModelRegistry


@dataclass
class LabelService:
    """Labels the rides of one item. The same item twice writes the same objects."""

    lake: S3Objects
    registry: ModelRegistry
    settings: ClusteringSettings
    _models: dict[str, Model] = field(default_factory=dict)

    def label(self, item: PlanItem) -> PartReport:
        """Write the labelled rows, the rejected ones when there are any, then what was counted."""
        started, paths = time.perf_counter(), Paths(item.dt, item.run_id)
        labeller = Labeller(self._model(item.model_version), item.model_version, item.run_id, item.part)
        report = labeller.report
        rows, bad = io.BytesIO(), io.BytesIO()
        with rows_writer(rows) as labelled, pq.ParquetWriter(bad, REJECTED_SCHEMA) as rejected:
            for source in item.sources:
                self._label(labeller, source, labelled, rejected)
        if report.rides:
            self.lake.put(paths.labelled(item.part), rows.getvalue())
        if report.rejected:
            self.lake.put(paths.rejected(item.part), bad.getvalue())
        report.written = sum(pq.read_metadata(buffer).num_rows for buffer in (rows, bad))
        report.files = sum(not (source.row_groups and source.row_groups[0]) for source in item.sources)
        report.seconds = time.perf_counter() - started
        report.gb_seconds = report.seconds * self.settings.memory_mb / 1024
        self.lake.put(paths.counted(item.part), report.model_dump_json().encode())
        return report

    def _label(
        self, labeller: Labeller, source: Source, labelled: pq.ParquetWriter, rejected: pq.ParquetWriter
    ) -> None:
        report, limits = labeller.report, Limits(piece_rides=self.settings.piece_rides)
        before = report.rides + report.rejected
        try:
            with opened(self.lake, source, self.settings, limits) as file:
                for rows, bad in labeller.label(file):
                    labelled.write_batch(rows)
                    if bad.num_rows:
                        rejected.write_batch(bad)
        except InputError as exc:  # one unreadable object is a rejected row, and the others go on
            report.rejected += 1
            report.found += report.rides + report.rejected - before
            rejected.write_batch(rejected_rows(source.key, [None], [str(exc).removeprefix(f"{source.key}: ")]))

    def _model(self, name: str) -> Model:
        if name not in self._models:
            manifest = self.registry.manifest(LEAF, name)
            self._models = {name: Model.load({file: self.registry.read(manifest, file) for file in manifest.files})}
        return self._models[name]
