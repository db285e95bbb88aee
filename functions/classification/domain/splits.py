"""Which rows are learnt from and which judge; and which rows a model of before has never seen.

Rows of one person, else rows of the same features, are a group, and a group is never on both sides of a split.
"""

import hashlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

import numpy as np

from functions.classification.contracts import Feature, Split
from functions.classification.domain.schema import Bools, Columns, Floats, Rows, text, whose
from functions.classification.domain.target import Target, read_target
from layers.runtime.errors import InputError

SHARE = 0.2
MIN_TIMED = 500
RARE = 100  # fewer rows of a kind, or groups, are dealt by rank: a hash alone may leave a part without one
FEW = 100
BY_CHANCE = 0.05
OLDEST = datetime(1, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class Labelled:
    """Labelled rows: raw columns, the truth, when each was observed (None: not known), and the name of the column that
    says whose row it is (None: there is none)."""

    columns: Columns
    y: Bools
    times: Sequence[datetime | None]
    group: str | None = None

    def take(self, rows: Rows) -> "Labelled":
        """These rows, in this order."""
        columns = {name: [values[i] for i in rows] for name, values in self.columns.items()}
        return replace(self, columns=columns, y=self.y[rows], times=[self.times[i] for i in rows])


@dataclass(frozen=True)
class Parts:
    """Row numbers of the two parts, oldest first where there is time, the number of each row's group, and the rule."""

    learn: Rows
    test: Rows
    groups: Rows
    split: Split


def label(
    columns: dict[str, list[Any]],
    target: str,
    *,
    positive: str | None = None,
    standing: Target | None = None,
    group: str | None = None,
    without: Sequence[str] = (),
    times: Sequence[datetime | None] | None = None,
) -> tuple[Labelled, Target]:
    """Rows with a target, as labelled rows without the target and the columns in `without`.

    `group` names the column that says whose row it is; unless named, one is looked for. `standing` is the target of the
    model that answers now. Raises InputError.
    """
    values = columns[target]
    if not values:
        raise InputError("there are no rows")
    if group is not None and (group == target or group not in columns):
        raise InputError("is not a column that can say whose row it is", field=group)
    meaning, codes = read_target(values, target, positive, standing)
    labelled = np.flatnonzero(codes >= 0)
    features = {name: column for name, column in columns.items() if name != target and name not in without}
    rows = Labelled(features, codes == 1, times or [None] * len(values), group or whose(features))
    return (rows if len(labelled) == len(values) else rows.take(labelled)), meaning


def distinct(rows: Labelled, names: Sequence[str]) -> Rows:
    """Numbers of the rows without exact copies: the same in these columns, truth and time; the first of them stays.

    Where rows are alike by chance, as in a table of a few categories, none is a copy.
    """
    lines = _lines(rows, names)
    if _alike_by_chance(rows, names, lines):
        return np.arange(len(lines))
    first: dict[object, int] = {}
    for i, key in enumerate(zip(lines, rows.y.tolist(), rows.times, strict=True)):
        first.setdefault(key, i)
    return np.array(list(first.values()), dtype=np.int64)


def _alike_by_chance(rows: Labelled, names: Sequence[str], lines: list[str]) -> bool:
    """Whether chance explains the rows that are alike: with independent columns, at the shares that values have among
    the different rows, a row would have .05 twins, or there would be a third of the pairs that there are."""
    first = list({line: i for i, line in enumerate(lines)}.values())
    count, itself = len(first), int(len(first) > FEW)
    twins = float(len(lines))
    for name in names:
        values = rows.columns[name]
        counts = np.array(list(Counter(text(values[i]) for i in first).values()))
        twins *= float((counts * (counts - itself)).sum()) / (count * (count - itself))
    return twins > BY_CHANCE or len(lines) - count <= 3 * len(lines) * twins / 2


def divide(rows: Labelled, features: Sequence[Feature], *, seed: int, in_order: bool = False) -> Parts:
    """80 % learn, 20 % test. Where rows are alike by chance, each is a group of its own.

    By a hash of the group when rows have no time, so that a row stays in its part when more rows arrive; where one
    kind is rare, by the rank of its hash among its kind. By time when they have (or `in_order`: the rows are in time
    order): the groups seen last test.
    """
    names = [feature.name for feature in features]
    spread = _alike_by_chance(rows, names, _lines(rows, names))
    keys = _keys(rows, names, rows.group, spread=spread)
    numbers: dict[str, int] = {}
    groups = np.array([numbers.setdefault(key, len(numbers)) for key in keys])
    draws = _uniform(list(numbers), seed)
    split = Split(kind="hash", share=SHARE, seed=seed, group=rows.group, spread=spread)
    timed = len(rows.y) if in_order else sum(time is not None for time in rows.times)
    if in_order or timed >= MIN_TIMED:
        return _by_time(rows, groups, split, timed, in_order=in_order)
    if min(int(rows.y.sum()), int((~rows.y).sum()), len(draws)) < RARE:
        draws = _ranks(draws, np.bincount(groups, weights=rows.y) > 0)
        split = split.model_copy(update={"share": 0.0})  # ranks move as rows arrive: later, no row is surely unseen
    until = max((time for time in rows.times if time is not None), default=None)
    test = (draws < SHARE)[groups]
    return Parts(np.flatnonzero(~test), np.flatnonzero(test), groups, split.model_copy(update={"until": until}))


def _ranks(draws: Floats, positive: Bools) -> Floats:
    """The same order of draws within each kind, evenly from 0 to 1."""
    ranked = np.empty_like(draws)
    for kind in (positive, ~positive):
        members = np.flatnonzero(kind)
        ranked[members[np.argsort(draws[members])]] = (np.arange(len(members)) + 0.5) / len(members)
    return ranked


def _by_time(rows: Labelled, groups: Rows, split: Split, timed: int, *, in_order: bool) -> Parts:
    order = np.arange(len(groups))
    if not in_order:
        order = np.array(sorted(range(len(groups)), key=lambda i: rows.times[i] or OLDEST))
    newest = np.empty(groups.max() + 1, dtype=np.int64)
    newest[groups[order]] = np.arange(len(groups))  # of a group's rows the last one stays
    by_newest = np.argsort(-newest)
    reach = np.empty(len(newest), dtype=np.int64)
    reach[by_newest] = np.cumsum(np.bincount(groups)[by_newest])
    test = (reach <= round(SHARE * timed))[groups]
    known = [time or OLDEST for time, tested in zip(rows.times, test, strict=True) if not tested]
    kind, until = ("order", None) if in_order else ("time", max(known, default=None))
    split = split.model_copy(update={"kind": kind, "until": until})
    return Parts(order[~test[order]], order[test[order]], groups, split)


def twins(rows: Labelled, features: Sequence[Feature], parts: Parts) -> int:
    """How many test rows equal a row learnt from in every feature."""
    lines = _lines(rows, [feature.name for feature in features])
    known = {lines[i] for i in parts.learn}
    return sum(lines[i] in known for i in parts.test)


def unseen(rows: Labelled, features: Sequence[Feature], split: Split) -> Bools:
    """Rows that a model made under `split` did not learn from. `features` are that model's."""
    later = np.array([t is not None and (split.until is None or t > split.until) for t in rows.times], dtype=bool)
    if split.kind == "order":
        return np.zeros(len(rows.y), dtype=bool)
    if split.kind == "time":
        return later
    keys = _keys(rows, [feature.name for feature in features], split.group, spread=split.spread)
    return later | (_uniform(keys, split.seed) < split.share)


def _lines(rows: Labelled, names: Sequence[str]) -> list[str]:
    """One text per row that depends on nothing but these columns."""
    absent = [None] * len(rows.y)
    columns = [map(text, rows.columns.get(name, absent)) for name in sorted(names)]
    return ["\x1f".join(cells) for cells in zip(*columns, strict=True)]


def _keys(rows: Labelled, names: Sequence[str], group: str | None, *, spread: bool) -> list[str]:
    """What makes rows one group: the person, else the features; if `spread`, also how many equal rows came before."""
    before: Counter[str] = Counter()
    absent: list[Any] = [None] * len(rows.y)
    keys, people = [], absent if group is None else rows.columns.get(group, absent)
    for line, person in zip(_lines(rows, names), map(text, people), strict=True):
        before[line] += 1
        keys.append(f"\x1e{person}" if person else f"{before[line] if spread else ''}\x1f{line}")
    return keys


def _uniform(keys: Sequence[str], seed: int) -> Floats:
    """A number from 0 to 1 per key that depends on nothing but the key and `seed`."""
    digests = (hashlib.blake2b(f"{seed}\x1f{key}".encode(), digest_size=8).digest() for key in keys)
    return np.array([int.from_bytes(digest, "big") / 2**64 for digest in digests])
