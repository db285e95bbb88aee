"""Which columns of a file are the ride, and how their values become ids, kilometres and hours."""

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from functions.clustering.domain.scaling import Floats
from layers.runtime.errors import InputError

Preset = Literal["tlc"]
KM_PER_MILE = 1.609344
NUMBER = r"^[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?$"
TIME_FORMATS = ("%m/%d/%Y %I:%M:%S %p", "%m/%d/%Y %H:%M:%S", "%m/%d/%Y %H:%M")


@dataclass(frozen=True)
class Columns:
    """Names in the file. `ride_id` may be None with a preset; `times` is one column of hours or (start, end)."""

    ride_id: str | None
    dist: str
    times: tuple[str, ...]
    km: float = 1.0

    @property
    def names(self) -> list[str]:
        """All of them."""
        return [*filter(None, [self.ride_id]), self.dist, *self.times]

    @classmethod
    def find(cls, names: list[str], file: str, preset: Preset | None) -> "Columns":
        """Choose among `names`. Raises InputError naming the first that is missing."""

        def one(*wanted: str) -> str:
            for name in names:
                if name.strip().lower() in wanted:
                    return name
            raise InputError(f"has no such column; it has {', '.join(names[:30])}", file=file, field=wanted[0])

        if preset is None:
            return cls(one("ride_id"), one("ride_dist"), (one("ride_time"),))
        ride_id = next((name for name in names if name.strip().lower() == "ride_id"), None)
        start = one("lpep_pickup_datetime", "tpep_pickup_datetime", "pickup_datetime", "trip_pickup_datetime")
        end = one("lpep_dropoff_datetime", "tpep_dropoff_datetime", "dropoff_datetime", "trip_dropoff_datetime")
        return cls(ride_id, one("trip_distance", "trip_miles"), (start, end), KM_PER_MILE)

    def km_and_hours(self, batch: Any, file: str) -> tuple[Floats, Floats]:
        """Both as float64; NaN where missing or no number. Raises InputError for a column of a foreign type."""
        with np.errstate(over="ignore"):  # what is infinite is rejected as such
            dist = numbers(batch.column(self.dist), file, self.dist) * self.km
        if len(self.times) == 1:
            return dist, numbers(batch.column(self.times[0]), file, self.times[0])
        start, end = (seconds(batch.column(name), file, name) for name in self.times)
        return dist, (end - start) / 3600


def texts(column: Any) -> pa.Array:
    """Ids as strings, null where missing or empty."""
    if pa.types.is_dictionary(column.type):
        column = column.cast(column.type.value_type)
    found = column.cast(pa.string())
    found.validate(full=True)  # Parquet may say UTF-8 of what is none
    return pc.if_else(pc.equal(found, ""), pa.scalar(None, pa.string()), found)


def numbers(column: Any, file: str, field: str) -> Floats:
    """As float64. Text that is no number becomes NaN."""
    kind = column.type
    if pa.types.is_dictionary(kind):
        return numbers(column.cast(kind.value_type), file, field)
    if pa.types.is_string(kind) or pa.types.is_large_string(kind):
        try:
            return _floats(column)
        except pa.ArrowInvalid:
            trimmed = pc.utf8_trim_whitespace(column)
            number = pc.match_substring_regex(trimmed, NUMBER)
            infinite = pc.match_substring_regex(trimmed, r"^[+-]?inf(inity)?$", ignore_case=True)
            return _floats(pc.if_else(pc.or_(number, infinite), trimmed, pa.scalar(None, trimmed.type)))
    if pa.types.is_null(kind) or pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind):
        return _floats(column)
    raise InputError(f"is of type {kind}, not a number", file=file, field=field)


def seconds(column: Any, file: str, field: str) -> Floats:
    """A time, or text of one, as seconds since 1970; NaN where it is missing or no time."""
    kind = column.type
    if pa.types.is_string(kind) or pa.types.is_large_string(kind):
        column = _parsed_times(column)
    elif not (pa.types.is_timestamp(kind) or pa.types.is_date(kind) or pa.types.is_null(kind)):
        raise InputError(f"is of type {kind}, not a time", file=file, field=field)
    zone = column.type.tz if pa.types.is_timestamp(column.type) else None
    micros = column.cast(pa.timestamp("us", zone), safe=False).cast(pa.int64())
    return _floats(micros) / 1e6


def _parsed_times(column: Any) -> Any:
    for zone in (None, "UTC"):  # the second reads times that carry an offset
        try:
            return column.cast(pa.timestamp("us", zone))
        except pa.ArrowInvalid:
            continue
    iso = pc.match_substring_regex(column, r"^\d{4}-\d\d-\d\d[ T]([01]\d|2[0-3]):[0-5]\d(:[0-5]\d)?(\.\d{1,6})?$")
    found = [pc.if_else(iso, column, pa.scalar(None, column.type)).cast(pa.string())]
    try:
        found = [found[0].cast(pa.timestamp("us"))]
    except pa.ArrowInvalid:  # such as the 31st of June
        found = [pc.strptime(pc.replace_substring(found[0], "T", " "), "%Y-%m-%d %H:%M:%S", "us", error_is_null=True)]
    return pc.coalesce(*found, *(pc.strptime(column, form, "us", error_is_null=True) for form in TIME_FORMATS))


def _floats(column: Any) -> Floats:
    found = column.cast(pa.float64(), safe=False).to_numpy(zero_copy_only=False)
    return np.asarray(found, np.float64)
