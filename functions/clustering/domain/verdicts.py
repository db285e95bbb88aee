"""What analysts' verdicts say of the flags: precision by severity, and the severity that would have served."""

import gzip
import io
import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, BinaryIO, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from functions.clustering.contracts import Precision, VerdictReport
from functions.clustering.domain.model import Floats
from layers.runtime.errors import InputError
from layers.runtime.files import reading
from layers.tables import Preset, Reading, open_table, styles, to_texts, to_times

SEVERITIES: Final = (1.0, 1.2, 1.5, 2.0, 3.0, 5.0, 10.0, 20.0, 50.0)
# The suggestion: this share confirmed, at the lower end of its interval, of at least so many judged.
WANTED, FEWEST, DEVIATIONS = 0.5, 20, 1.959964
NAMES: Final = ("ride_id", "verdict", "at")
WORDS: Final = {"confirmed": True, "false_alarm": False, "": None}


def severe(severity: Floats) -> NDArray[np.int64]:
    """How many of the severities (n,) are of each of `SEVERITIES` or more."""
    return np.asarray(len(severity) - np.searchsorted(np.sort(severity), SEVERITIES), np.int64)


def report(severity: Floats, confirmed: NDArray[np.bool_], unknown: int) -> VerdictReport:
    """Of judged rides, (n,): those of a severity of 1 or less are no flags. `unknown` verdicts have none.

    Severities at which nothing was judged are left out, since what is said above them says nothing of them.
    """
    flagged = severity > 1
    judged, right = severe(severity[flagged]), severe(severity[flagged & confirmed])
    steps = [
        _precision(*row)
        for row, above in zip(zip(SEVERITIES, judged, right, strict=True), [*judged[1:], 0], strict=True)
        if row[1] > above
    ]
    served = (step.severity for step in steps if step.judged >= FEWEST and step.low >= WANTED)
    return VerdictReport(
        judged=int(flagged.sum()),
        not_flagged=int((~flagged).sum()),
        unknown=unknown,
        precision=steps,
        severity=next(served, None),
    )


def _precision(severity: float, judged: int, confirmed: int) -> Precision:
    """With the interval of Wilson 1927."""
    share, square = confirmed / judged, DEVIATIONS**2 / judged
    middle = (share + square / 2) / (1 + square)
    half = np.sqrt(square * share * (1 - share) + square**2 / 4) / (1 + square)
    low, high = (round(float(np.clip(end, 0, 1)), 4) for end in (middle - half, middle + half))
    return Precision(
        severity=severity, judged=judged, confirmed=confirmed, precision=round(share, 4), low=low, high=high
    )


def with_share(verdicts: VerdictReport, figures: Mapping[str, Any]) -> VerdictReport:
    """With the share of the rides of a run, by its `figures`, that the suggestion would have flagged."""
    if verdicts.severity is None:
        return verdicts
    share = figures["rides_of_severity"][f"{verdicts.severity:g}"] / max(figures["rides"], 1)
    return verdicts.model_copy(update={"share": share})


def in_words(verdicts: VerdictReport) -> str:
    """As a line for a person."""
    clauses = [f"{verdicts.judged:,} flags were judged"]
    if verdicts.precision:
        every = verdicts.precision[0]
        between = f"between {every.low:.0%} and {every.high:.0%}"
        clauses[0] += f", {every.confirmed:,} of them confirmed ({every.precision:.0%}, {between})"
    served = next((step for step in verdicts.precision if step.severity == verdicts.severity), None)
    if verdicts.judged < FEWEST:
        clauses.append(f"too few to suggest a severity, which takes {FEWEST}")
    elif served is None:
        clauses.append("at no severity is half of them surely right, so none is suggested")
    else:
        share = "" if verdicts.share is None else f", {verdicts.share:.2%} of rides"
        counts = f"{served.confirmed:,} of {served.judged:,} confirmed{share}"
        clauses.append(f"those of severity {served.severity:g} or more would have served: {counts}")
    for count, why in ((verdicts.not_flagged, "rides that are no flags"), (verdicts.unknown, "unknown rides")):
        clauses += [f"{count:,} verdicts are on {why}"] * bool(count)
    return "; ".join(clauses)


def read_words(file: BinaryIO, name: str, how: Reading) -> dict[str, bool]:
    """Ride id -> whether its flag was confirmed, by the newest row of each; words that were taken back are none.

    CSV, Parquet or lines of JSON with `ride_id`, `verdict` and, if it has one, `at`; of rows as old the last holds.
    Raises InputError naming the file, the row and the column.
    """
    table = open_table(_rows(file, name), name, reading=replace(how, columns={}))
    columns = table.columns(Preset({column: [column] for column in NAMES}))
    for column in NAMES[:2]:
        if column not in columns:
            raise table.lacks(column)
    written = styles(table, times=[columns["at"]]) if "at" in columns else None
    newest: dict[str, tuple[np.datetime64, bool | None]] = {}
    for batch in table.batches([*columns.values()]):
        ids, words = (to_texts(batch.column(columns[column])).to_pylist() for column in NAMES[:2])
        times = np.full(len(batch), np.datetime64(0, "us"))
        if written:
            moments = to_times(batch.column(columns["at"]), written.times[columns["at"]])[0]
            times = np.where(np.isnat(moments), times, moments)
        for row, ride_id, word, at in zip(batch.rows.tolist(), ids, words, times, strict=True):
            if (word or "") not in WORDS:
                raise InputError("is neither confirmed nor false_alarm", file=name, row=row, field="verdict")
            if not ride_id:
                raise InputError("is missing", file=name, row=row, field="ride_id")
            if ride_id not in newest or newest[ride_id][0] <= at:
                newest[ride_id] = at, WORDS[word or ""]
    if table.ragged:
        raise InputError(table.ragged[0].reason, file=name, row=table.ragged[0].row)
    return {ride_id: word for ride_id, (_, word) in newest.items() if word is not None}


def _rows(file: BinaryIO, name: str) -> BinaryIO:
    """The file, or as Parquet what are lines of JSON, packed or not."""
    head = file.read(2)
    file.seek(0)
    lines: Any = gzip.GzipFile(fileobj=file) if head == b"\x1f\x8b" else file
    with reading(name, "verdicts"):
        is_json = lines.read(1) == b"{"
        lines.seek(0)
        if not is_json:
            file.seek(0)
            return file
        rows = []
        for row, line in enumerate(filter(bytes.strip, lines)):
            try:
                values = json.loads(line)
                rows.append({column: values[column] for column in NAMES if column in values})
            except (ValueError, TypeError) as exc:
                raise InputError("is no object of JSON", file=name, row=row) from exc
        columns = {  # texts: a type that is inferred would rewrite ids
            column: pa.array([None if row.get(column) is None else str(row[column]) for row in rows], pa.string())
            for column in NAMES
            if any(column in row for row in rows)
        }
        buffer = io.BytesIO()
        pq.write_table(pa.table(columns), buffer)
    return buffer


def judged(labelled: Path, words: Mapping[str, bool]) -> VerdictReport:
    """The report of the rides in anomalies.parquet. Of an id that comes twice the more severe ride is meant."""
    of_words = pc.field("ride_id").cast(pa.string()).isin(pa.array(words, pa.string()))
    rides = pq.read_table(labelled, columns=["ride_id", "severity"], filters=of_words)
    worst = rides.group_by("ride_id").aggregate([("severity", "max")])
    confirmed = np.array([words[str(ride_id)] for ride_id in worst["ride_id"].to_pylist()], bool)
    return report(worst["severity_max"].to_numpy(), confirmed, len(words) - worst.num_rows)
