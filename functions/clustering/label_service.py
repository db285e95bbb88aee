"""The work of a run: label the rides of one item of the plan."""

import io
import time
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from functions.clustering.contracts import LABEL_SCHEMA, PartReport, Paths, PlanItem, Source
from functions.clustering.domain.model import Model
from functions.clustering.domain.tables import Labeller, rejected_rows
from functions.clustering.service import LEAF, Lake, form_of, opened
from functions.clustering.settings import ClusteringSettings
from layers.runtime.errors import InputError
from layers.runtime.files import Limits
from layers.storage.registry import ModelRegistry


@dataclass
class LabelService:
    """Labels the rides of one item. The same item twice writes the same objects."""

    lake: Lake
    registry: ModelRegistry
    settings: ClusteringSettings
    _models: dict[str, Model] = field(default_factory=dict)

    def label(self, item: PlanItem) -> PartReport:
        """Write the labelled rows, the rejected ones when there are any, then what was counted."""
        started = time.perf_counter()
        labeller = Labeller(self._model(item.model_version), item.model_version, item.run_id)
        rows, rejected = io.BytesIO(), list[pa.Table]()
        with pq.ParquetWriter(rows, LABEL_SCHEMA) as writer:
            for source in item.sources:
                self._label(labeller, source, writer, rejected)
        paths = Paths(item.dt, item.run_id)
        if labeller.rides:
            self.lake.put(paths.labelled(item.part), rows.getvalue())
        bad = pa.concat_tables(rejected) if rejected else None
        if bad is not None and bad.num_rows:
            buffer = io.BytesIO()
            pq.write_table(bad, buffer)
            self.lake.put(paths.rejected(item.part), buffer.getvalue())
        seconds = time.perf_counter() - started
        counted = {
            "written": pq.read_metadata(rows).num_rows + (bad.num_rows if bad is not None else 0),
            "files": sum(not (source.row_groups and source.row_groups[0]) for source in item.sources),
            "seconds": seconds,
            "gb_seconds": seconds * self.settings.memory_mb / 1024,
        }
        report = labeller.report(item.part).model_copy(update=counted)
        self.lake.put(paths.counted(item.part), report.model_dump_json().encode())
        return report

    def _label(self, labeller: Labeller, source: Source, writer: Any, rejected: list[pa.Table]) -> None:
        before, limits = labeller.rides + labeller.rejected, Limits(piece_rides=self.settings.piece_rides)
        try:
            with opened(self.lake, source, limits, form_of(self.settings)) as file:
                for rows, bad in labeller.label(file):
                    writer.write_table(rows)
                    rejected.append(bad)
        except InputError as exc:  # one unreadable object is a rejected row, and the others go on
            labeller.rejected += 1
            labeller.found += labeller.rides + labeller.rejected - before
            rejected.append(rejected_rows(source.key, [None], [str(exc).removeprefix(f"{source.key}: ")]))

    def _model(self, name: str) -> Model:
        if name not in self._models:
            manifest = self.registry.manifest(LEAF, name)
            self._models = {name: Model.load({file: self.registry.read(manifest, file) for file in manifest.files})}
        return self._models[name]
