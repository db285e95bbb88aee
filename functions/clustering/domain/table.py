"""Rides of a file, a chunk at a time: which columns they are, which rows are none and why, which ids come twice."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import chain
from typing import Any, BinaryIO, Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from functions.clustering.domain.model import Floats
from layers import tables
from layers.runtime.errors import InputError
from layers.runtime.files import Limits
from layers.tables import Reading, Styles, Table, TimeStyle, open_table, styles, to_numbers, to_texts, to_times
from layers.tables.numbers import is_text, plain_array
from layers.tables.table import RAGGED

Preset = Literal["tlc"]
Times = NDArray[np.datetime64]
IN_MILES = ("trip_distance", "trip_miles")
START, END = ([f"{kind}{end}_datetime" for kind in ("lpep_", "tpep_", "", "trip_")] for end in ("pickup", "dropoff"))
MOMENTS = ("start", "end")
# Names that say their unit; without one, km and h.
OWN = tables.Preset(
    {
        "ride_id": ["ride_id"],
        "ride_dist": ["ride_dist", "ride_dist_m", "ride_dist_mi"],
        "ride_time": ["ride_time", "ride_time_min", "ride_time_s"],
        "start": ["start"],
        "end": ["end"],
    },
    {"ride_dist_m": 1e-3, "ride_dist_mi": 1.609344, "ride_time_min": 1 / 60, "ride_time_s": 1 / 3600},
)
# New York's trip records: miles, and a time from two moments.
TLC = tables.Preset(
    {"ride_id": ["ride_id"], "ride_dist": IN_MILES, "start": START, "end": END}, {"ride_dist": 1.609344}
)
PRESETS: Mapping[Preset | None, tables.Preset] = {None: OWN, "tlc": TLC}
ELSEWHERE = "Etc/GMT-14"  # whose wall clock differs from UTC's, so that times with a zone of their own show
FIRST_CELLS = 1_000
EPOCH = np.datetime64(0, "s")
CLOCK = r"^\s*(?P<h>\d{1,4}):(?P<m>[0-5]\d):(?P<s>[0-5]\d(?:\.\d+)?)\s*$"
INTEGER = r"^(0|-?[1-9]\d{0,17})$"
FARTHEST_KM, LONGEST_H, NOTHING = 100_000.0, 10_000.0, 1e-9  # of a ride; less than a millionth of a metre is none
WRONG = ("is missing or not a number", "is infinite", "is zero", "is negative")
OF_TIME = [f"time {why}" for why in (*WRONG, f"is over {LONGEST_H:,.0f} h")]
OF_MILES = [f"distance {why}" for why in (*WRONG, f"is over {FARTHEST_KM:,.0f} km")]
REASONS = ("", RAGGED, "ride_id is missing", "ride_id comes a second time in this file", *OF_TIME, *OF_MILES)
NO_ID, REPEATED, TIME, MILES = 2, 3, 4, 4 + len(OF_TIME)


@dataclass(frozen=True)
class Format:
    """How files of rides are to be read; `timezone` is that of times which have none of their own."""

    preset: Preset | None = None
    timezone: str = "UTC"
    reading: Reading = field(default_factory=Reading)


def columns_of(table: Table, preset: Preset | None) -> dict[str, str]:
    """Our columns -> the file's, first to last: `ride_id`, which a preset can do without, `ride_dist`, then `ride_time`
    (h) or `start` and `end`. Raises InputError naming the first that is missing, or why it must be."""
    form = PRESETS[preset]
    theirs = table.columns(form)
    unused = set[str]()
    if preset is None:
        unused = {*MOMENTS} if "ride_time" in theirs or not theirs.keys() & {*MOMENTS} else {"ride_time"}
    for ours, aliases in form.aliases.items():
        if ours in theirs or ours in unused or (ours == "ride_id" and preset):
            continue
        names, hint = {name.lower() for name in table.names}, ""
        if preset is None and names & {*START}:
            hint = "; trip records need --preset tlc"
        elif aliases == IN_MILES and "dispatching_base_num" in names:
            hint = "; trip records of for-hire vehicles have no distance"
        raise table.lacks(aliases[0], hint, ours=ours)
    return {ours: theirs[ours] for ours in form.aliases if ours in theirs and ours not in unused}


def unit_of(table: Table, form: tables.Preset, ours: str, theirs: str) -> float:
    """What one of the file's column `theirs` is in ours: by the name it was given, else by its own, else as always."""
    given = {column: name for name, column in table.reading.columns.items()}
    return form.units.get(given.get(theirs, theirs.lower()), form.units.get(ours, 1.0))


@dataclass(frozen=True)
class Rides:
    """Rows of one file: their numbers from 0, ids (null where missing), km and h (NaN where missing or no number).

    `malformed` rows have not as many fields as the header, and nothing else is known of them. `integer_ids`: the file
    has integers there, or in CSV what can be written back as it is.
    """

    rows: NDArray[np.int64]
    ids: pa.Array
    dist: Floats
    time: Floats
    malformed: bool = False
    integer_ids: bool = True

    def __len__(self) -> int:
        return len(self.rows)

    def valid(self) -> tuple[Floats, Floats]:
        """km and h of the rows that are rides."""
        accepted = self.rejections() == 0
        return self.dist[accepted], self.time[accepted]

    def rejections(self) -> NDArray[np.int8]:
        """Per row why it is no ride, as a place in `REASONS`, 0 where it is one; repeated ids apart."""
        codes = np.full(len(self.rows), int(self.malformed), np.int8)
        if self.malformed:
            return codes
        for first, values, most in ((TIME, self.time, LONGEST_H), (MILES, self.dist, FARTHEST_KM)):
            wrong = np.flatnonzero(~((values >= NOTHING) & (values <= most)))
            value = values[wrong]
            cases = [np.isnan(value), np.isinf(value), np.abs(value) < NOTHING, value < 0, value > most]
            codes[wrong] = first + np.argmax(cases, axis=0)
        if self.ids.null_count:
            codes[self.ids.is_null().to_numpy(zero_copy_only=False)] = NO_ID
        return codes


@dataclass(frozen=True)
class RideFile:
    """A file of rides; of Parquet, `row_groups` [first, last) alone, with `first_row` rows before.

    `decided`: its styles, if they are known already. Whatever is asked raises InputError naming the file, and the
    column when one is missing, of a foreign type, or can be read in two ways.
    """

    file: BinaryIO
    name: str
    form: Format = field(default_factory=Format)
    row_groups: tuple[int, int] | None = None
    first_row: int = 0
    limits: Limits = field(default_factory=Limits)
    decided: Styles | None = None

    @cached_property
    def table(self) -> Table:
        """The file, or its row groups."""
        return self._opened(self.limits, self.row_groups)

    @cached_property
    def columns(self) -> dict[str, str]:
        """Those of the rides, ours -> the file's."""
        return columns_of(self.table, self.form.preset)

    @cached_property
    def styles(self) -> Styles:
        """How numbers and times are written in the whole file."""
        if self.decided:
            return self.decided
        whole = self._opened(Limits(), None) if self.row_groups else self.table
        names = {ours: theirs for ours, theirs in self.columns.items() if ours != "ride_id"}
        times = [names.pop(moment) for moment in MOMENTS if moment in names]
        return styles(whole, numbers=[*names.values()], times=times)

    def rides(self) -> Iterator[Rides]:
        """Every row, in order; malformed ones last."""
        columns, how, form = self.columns, self.styles, PRESETS[self.form.preset]
        units = {ours: unit_of(self.table, form, ours, theirs) for ours, theirs in columns.items()}

        def numbers(batch: tables.Batch, ours: str) -> Floats:
            column = columns[ours]
            with np.errstate(over="ignore"):  # what is infinite is rejected as such
                values = to_numbers(batch.column(column), how.numbers[column])[0] * units[ours]
            return _clocked(batch.column(column), values) if ours == "ride_time" else values

        for batch in self.table.batches([*columns.values()]):
            dist = numbers(batch, "ride_dist")
            if "ride_time" in columns:
                time = numbers(batch, "ride_time")
            else:
                start, end = ((batch.column(columns[one]), how.times[columns[one]]) for one in MOMENTS)
                time = elapsed_hours(start, end, self.form.timezone)
            ids, integers = self._ids(batch)
            yield Rides(batch.rows, ids, dist, time, integer_ids=integers)
        if bad := [rejected.row for rejected in self.table.ragged]:
            nothing = np.full(len(bad), np.nan)
            yield Rides(np.array(bad), pa.nulls(len(bad), pa.string()), nothing, nothing, malformed=True)

    def ids(self) -> Iterator[pa.Array]:
        """The ride ids alone, null for malformed rows, which come last; nothing when the file has none of its own."""
        if name := self.columns.get("ride_id"):
            yield from map(self._texts, self.table.batches([name]))
            yield pa.nulls(len(self.table.ragged), pa.string())

    def before(self) -> "RideFile | None":
        """The row groups before those named."""
        if not self.row_groups or not self.row_groups[0]:
            return None
        return replace(self, row_groups=(0, self.row_groups[0]), first_row=0, limits=Limits())

    def all_row_groups(self) -> list[tuple[int, int]]:
        """(rows, bytes) of each row group of the whole Parquet file, from its footer; none of CSV."""
        return self.table.row_groups()

    def footer_rows(self) -> int:
        """Rows of Parquet, or of the row groups named, as the footer says."""
        return sum(rows for rows, _ in self.all_row_groups()[slice(*(self.row_groups or (None,)))])

    def _opened(self, limits: Limits, row_groups: tuple[int, int] | None) -> Table:
        return open_table(
            self.file,
            self.name,
            limits=limits,
            reading=self.form.reading,
            row_groups=row_groups,
            first_row=self.first_row,
        )

    def _ids(self, batch: tables.Batch) -> tuple[pa.Array, bool]:
        if "ride_id" not in self.columns:
            stem = self.name.rsplit("/", 1)[-1].removesuffix(".gz").rsplit(".", 1)[0]
            return pc.binary_join_element_wise(stem, pc.cast(pa.array(batch.rows), pa.string()), ":"), False
        ids = self._texts(batch)
        if self.table.kind == "parquet":
            return ids, pa.types.is_integer(batch.column(self.columns["ride_id"]).type)
        return ids, pc.all(pc.match_substring_regex(ids, INTEGER)).as_py() is not False

    def _texts(self, batch: tables.Batch) -> pa.Array:
        """Ids as strings, null where missing or empty."""
        name = self.columns["ride_id"]
        try:
            ids = to_texts(batch.column(name))
        except pa.ArrowException as exc:
            raise InputError("holds values that are no text", file=self.name, field=name) from exc
        return pc.if_else(pc.equal(ids, ""), pa.scalar(None, pa.string()), ids)


def _clocked(column: Any, hours: Floats) -> Floats:
    """The hours, and of cells that are none those that are written h:mm:ss."""
    if not is_text(column.type) or not np.isnan(hours).any():
        return hours
    parts = pc.extract_regex(plain_array(column), CLOCK)
    whole = [pc.struct_field(parts, name).cast(pa.float64()).to_numpy(zero_copy_only=False) for name in "hms"]
    return np.where(np.isnan(hours), whole[0] + whole[1] / 60 + whole[2] / 3600, hours)


def hashes(ids: pa.Array) -> NDArray[np.int64]:
    """Python's own of every id, which is another one in every process."""
    return np.fromiter(map(hash, ids.to_pylist()), np.int64, len(ids))


def repeated_ids(file: RideFile, own: Sequence[NDArray[np.int64]]) -> frozenset[str]:
    """Ids of `file` that come more than once in it or in the row groups before it; `own` are the hashes of its ids.

    8 bytes a row: texts are compared only where hashes are equal.
    """
    every = np.sort(np.concatenate(own)) if own else np.empty(0, np.int64)
    every = every[every != hash(None)]
    twice = [every[1:][every[1:] == every[:-1]]]
    before = file.before()
    if before and len(every):
        places = ((one, np.searchsorted(every, one)) for one in map(hashes, before.ids()))
        twice += [one[every[np.minimum(place, len(every) - 1)] == one] for one, place in places]
    candidates = frozenset(np.concatenate(twice).tolist())
    if not candidates:
        return candidates
    whole = chain(before.ids() if before else (), file.ids())
    texts = chain.from_iterable(ids.to_pylist() for ids in whole)
    counts = Counter(text for text in texts if hash(text) in candidates)
    return frozenset(text for text, times in counts.items() if times > 1)


def elapsed_hours(start: tuple[Any, TimeStyle], end: tuple[Any, TimeStyle], zone: str) -> Floats:
    """Hours (n,) between two columns with their styles, in `zone` unless they have their own; NaN where one is missing.

    Where one alone has its own, the other is on a clock in `zone`. As short as can be where clocks are put back, but
    not negative if they need not. A time that summer time skips was shown by a clock that was not put forward.
    """
    zoned = _has_zone(*start) and _has_zone(*end)
    begin, finish = (to_times(*column, "UTC" if zoned else zone)[0] for column in (start, end))
    if zoned or zone == "UTC":
        return _seconds(finish - begin) / 3600
    return _shortest(begin, finish, zone) / 3600


def _has_zone(column: Any, style: TimeStyle) -> bool:
    """Whether times have a zone or an offset of their own, by the first of them."""
    head = column.slice(0, FIRST_CELLS)
    here, elsewhere = (to_times(head, style, zone)[0] for zone in ("UTC", ELSEWHERE))
    return bool((here != elsewhere)[~np.isnat(here)].any())


def _shortest(start: Times, end: Times, zone: str) -> Floats:
    """Seconds (n,) between two times on a clock in `zone`: of an hour that comes twice, either can be meant."""
    (start_early, start_late), (end_early, end_late) = _instants(start, zone), _instants(end, zone)
    ways = np.stack([end_early - start_late, end_early - start_early, end_late - start_early])
    first = np.where((ways >= 0).any(axis=0), (ways >= 0).argmax(axis=0), len(ways) - 1)
    chosen = np.take_along_axis(ways, first[None], 0)[0]
    # Arrow takes a skipped time for the moment of the change, just before and at it.
    skipped = (np.abs(start_late - start_early - 0.5) < 0.5) | (np.abs(end_late - end_early - 0.5) < 0.5)
    return np.where(skipped, _seconds(end - start), chosen)


def _instants(times: Times, zone: str) -> tuple[Floats, Floats]:
    """The earliest and the latest instant that each time on a clock in `zone` can be, in s."""
    naive, ways = pa.array(times.astype("datetime64[us]")), ("earliest", "latest")
    early, late = (pc.assume_timezone(naive, zone, ambiguous=way, nonexistent=way).to_numpy(False) for way in ways)
    return _seconds(early - EPOCH), _seconds(late - EPOCH)


def _seconds(spans: NDArray[np.timedelta64]) -> Floats:
    return np.asarray(spans / np.timedelta64(1, "s"), np.float64)
