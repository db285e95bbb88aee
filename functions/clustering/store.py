"""Where the leaf's documents lie in the lake, and how its objects of rides are opened."""

import io
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import date
from itertools import takewhile
from typing import Final

from pydantic import ValidationError

from functions.clustering.contracts import Source, Verdict
from functions.clustering.domain.table import Format, RideFile
from functions.clustering.settings import ClusteringSettings
from layers.runtime.files import Limits
from layers.storage.objects import ObjectInfo, S3Objects

LEAF = "clustering"
WHOLE_BYTES = 16 << 20
READERS, WORDS_READ = 16, 5_000
VERDICTS: Final = "verdicts/"


class Paths:
    """Keys in the lake of one day and run."""

    def __init__(self, day: date, run_id: str = "") -> None:
        self.input = f"rides/dt={day}/"
        self.plan = f"plans/clustering/dt={day}/run={run_id}.json"
        self.reports = f"anomalies/reports/dt={day}/run={run_id}/"
        self.manifest = f"anomalies/days/dt={day}/manifest.json"
        # Under each of these there is one name per run, `run=R...`.
        self.of_runs = tuple(f"{top}/dt={day}/" for top in ("anomalies/runs", "anomalies/reports", "plans/clustering"))
        self._rows = f"anomalies/runs/dt={day}/run={run_id}/"
        self._parts = f"plans/clustering/dt={day}/run={run_id}/"
        self.fit = f"{self._parts}fit.json"

    def labelled(self, part: int) -> str:
        """Labelled rows of one part."""
        return f"{self._rows}part-{part:05}.parquet"

    def rejected(self, part: int) -> str:
        """Rejected rows of one part, until they are merged."""
        return f"{self._parts}rejected-{part:05}.parquet"

    def counted(self, part: int) -> str:
        """What was counted in one part; it is written last of the part."""
        return f"{self._parts}part-{part:05}.json"


def ride_objects(lake: S3Objects, day: date) -> list[ObjectInfo]:
    """The day's objects; markers, folders and hidden files are none."""
    names = ((info, info.key.rsplit("/", 1)[-1]) for info in lake.list(Paths(day).input))
    return [info for info, name in names if name and not name.startswith(("_", "."))]


def verdicts(lake: S3Objects, first: date, last: date) -> list[Verdict]:
    """What stands on rides of the days from `first` to `last`; of very many, those of the newest days."""
    listed = takewhile(
        lambda info: info.key < f"{VERDICTS}dt={last}/~", lake.list(VERDICTS, after=f"{VERDICTS}dt={first}")
    )
    with ThreadPoolExecutor(READERS) as pool:
        bodies = pool.map(lambda info: lake.get(info.key), [*listed][-WORDS_READ:])
        return [word for body in bodies if (word := _verdict(body))]


def _verdict(body: bytes) -> Verdict | None:
    try:
        return Verdict.model_validate_json(body)
    except ValidationError:  # the console logs it
        return None


@contextmanager
def opened(
    lake: S3Objects, source: Source, settings: ClusteringSettings, limits: Limits | None = None
) -> Iterator[RideFile]:
    """A source as a file: a small object in one request, else by the ranges that are read.

    Raises ConflictError when the object is no longer the one that was planned.
    """
    form = Format(timezone=settings.timezone, reading=settings.reading)
    whole = source.row_groups is None and source.size <= WHOLE_BYTES
    planned = {"if_match": source.etag}
    with io.BytesIO(lake.get(source.key, **planned)) if whole else lake.open(source.key, **planned) as stream:
        yield RideFile(stream, source.key, form, source.row_groups, source.first_row, limits or Limits())
