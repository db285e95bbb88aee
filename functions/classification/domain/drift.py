"""How far inputs and scores have moved from training, from counts alone, and how far chance would move them.

Without any drift the population stability index of two samples is about (1/n + 1/m) times a chi-square with one degree
of freedom less than there are bins (Yurdakul 2018, "Statistical properties of population stability index"; Yurdakul and
Naranjo 2020). A column has moved when its index passes both the limit of the settings and what chance passes in
`FALSE_ALARMS` of the hours, whichever of the model's columns it were (Bonferroni): hours that share events alarm
together, not more often. One user's events are alike, so the events of a window weigh as n² / sum of squares of each
user's count (Kish 1965), and that sum is estimated from sums of random signs (Alon, Matias and Szegedy 1996), which add
up over batches and hours as counts do.
"""

import hashlib
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import NormalDist
from typing import Final

import numpy as np
import numpy.typing as npt

from functions.classification.contracts import Feature, Reference, Specification
from functions.classification.domain.schema import MAX_CATEGORIES, MIN_CATEGORY_ROWS, Floats, Matrix, Rows, places

DECILES: Final = np.linspace(0, 1, 11)[1:-1]
FALSE_ALARMS: Final = 1e-3  # share of hours in which chance alone may ring, over all columns
EMPTY: Final = 1e-9
SIGNS: Final = 32  # the sum of squares is known to a quarter of itself, which is added to it
COUNTERS: Final = 220  # counters of columns in one part: an update expression of DynamoDB has at most 4 KB
PARTS_AT_ONCE: Final = 4
SCORE: Final = "(score)"
SEGMENT: Final = "g_"
MILLION: Final = 1_000_000


def reference(values: npt.NDArray[np.floating], feature: Feature | None, rows: Rows | slice = slice(None)) -> Reference:
    """Shares of `rows` of an input, shape (rows,); deciles for numbers and scores (`feature` None)."""
    edges: tuple[float, ...] = ()
    category = feature is not None and feature.kind == "category"
    numbers = values[rows].astype(np.float64)
    if not category and np.isfinite(numbers).any():
        edges = tuple(float(edge) for edge in np.unique(np.nanquantile(numbers, DECILES, method="higher")))
    counts, unknown = bin_counts(values[rows], feature, edges), 0
    if category:
        *known, other, _ = bin_counts(values, feature, ()).tolist()
        full = other and len(known) >= MAX_CATEGORIES  # words as frequent as the rarest of the known ones are not
        safe = max(min(filter(None, known), default=0) + 1 if full else 0, MIN_CATEGORY_ROWS)
        unknown = int(counts[:-1][np.array([*known, 0]) <= safe].sum())
    total = max(int(counts.sum()), 1)
    return Reference(edges=edges, shares=tuple((counts / total).tolist()), rows=total, unknown=unknown / total)


def bin_counts(values: npt.NDArray[np.floating], feature: Feature | None, edges: Sequence[float]) -> Rows:
    """Rows per bin. Numbers: below, between and above `edges`, then missing. Categories: each, other, missing."""
    if feature is not None and feature.kind == "category":
        known = feature.categories
        bins = np.array([*range(len(known)), len(known) + 1, len(known)])  # the last two: null and unknown
        if "" in known:
            bins[known.index("")] = len(known) + 1
        return np.bincount(bins[values.astype(np.int64)], minlength=len(known) + 2)
    numbers = values.astype(np.float64)
    bins = np.where(np.isnan(numbers), len(edges) + 1, np.searchsorted(np.array(edges), numbers, side="left"))
    return np.bincount(bins, minlength=len(edges) + 2)


def parts(specification: Specification) -> list[list[int]]:
    """Indices of the features by the part of an hour's profile, an item of its own, that counts them."""
    divided: list[list[int]] = [[]]
    size = 0
    for i, known in enumerate(specification.references):
        if divided[-1] and size + len(known.shares) > COUNTERS:
            divided.append([])
            size = 0
        divided[-1].append(i)
        size += len(known.shares)
    return divided


def counted_parts(number: int, turn: int) -> list[int]:
    """Parts that a batch is counted in: all of a few; of many the first and, by turns, some others."""
    others = range(1, number)
    return [0, *(others[(turn + i) % len(others)] for i in range(min(PARTS_AT_ONCE - 1, len(others))))]


def bucket(hour: str, part: int) -> str:
    """Key of a part's item in the Profiles table; `hour` as in 2026-01-31T12."""
    return f"{hour}#{part}" if part else hour


def counters(
    x: Matrix,
    probabilities: Floats,
    users: Iterable[str],
    specification: Specification,
    part: int,
) -> dict[str, int]:
    """What one batch adds to a part of its hour's profile: `n`, `u<sign>`, `f<feature>_<bin>`; in the first `s<bin>`,
    `p<bin>`, the sum of the probabilities in millionths, the same of the segment `target`, `t` and `tp`, and
    `g_<segment>`.

    Zeros are left out.
    """
    counts = {"n": len(probabilities)}
    digests = b"".join(hashlib.blake2b(user.encode(), digest_size=SIGNS // 8).digest() for user in users)
    signs = 2 * np.unpackbits(np.frombuffer(digests, dtype=np.uint8)).reshape(-1, SIGNS).astype(np.int64) - 1
    counts |= {f"u{i}": int(total) for i, total in enumerate(signs.sum(axis=0))}
    if part == 0:
        scores = bin_counts(probabilities, None, specification.score_reference.edges)
        counts |= {f"s{b}": int(rows) for b, rows in enumerate(scores)}
        bins = np.searchsorted(np.array(specification.score_reference.edges), probabilities, side="left")
        sums = np.bincount(bins, weights=probabilities) * MILLION
        counts |= {f"p{b}": round(total) for b, total in enumerate(sums.tolist())}
        called = probabilities[probabilities >= specification.threshold]
        counts |= {"t": len(called), "tp": round(float(called.sum()) * MILLION)}
        segments = np.searchsorted([one.low for one in specification.segments[1:]], probabilities, side="right")
        rows_by = np.bincount(segments, minlength=len(specification.segments)).tolist()
        counts |= {f"{SEGMENT}{one.name}": n for one, n in zip(specification.segments, rows_by, strict=True)}
    own = places(specification.features)
    for i in parts(specification)[part]:
        bins = bin_counts(x[:, own[i][0]], specification.features[i], specification.references[i].edges)
        counts |= {f"f{i}_{b}": int(rows) for b, rows in enumerate(bins)}
    return {name: rows for name, rows in counts.items() if rows}


def segments(counts: Mapping[str, int]) -> dict[str, int]:
    """Rows by segment of the first part of a profile."""
    return {name.removeprefix(SEGMENT): rows for name, rows in counts.items() if name.startswith(SEGMENT)}


def stability_index(expected: npt.ArrayLike, counts: npt.ArrayLike) -> float:
    """Population stability index: sum over bins of (q - p) ln(q / p); 0.1 is a small move, 0.25 a large one.

    Both are numbers of rows. Half a row is added to every bin of both, so that an empty one is no infinity.
    """
    p, q = np.asarray(expected) + 0.5, np.asarray(counts) + 0.5
    p, q = p / p.sum(), q / q.sum()
    return float(np.sum((q - p) * np.log(q / p)))


@dataclass(frozen=True)
class Move:
    """How far one column moved, and how far chance alone does: the index, and the rise of unknown categories' share."""

    index: float
    chance: float
    unknown: float = 0.0
    unknown_chance: float = 0.0


def measure(specification: Specification, totals: Sequence[Mapping[str, int]]) -> dict[str, Move]:
    """The move of the score and of each feature since training, from the profiles of each part (summed over hours)."""
    tests = 1 + len(specification.features) + sum(feature.kind == "category" for feature in specification.features)
    z = NormalDist().inv_cdf(1 - FALSE_ALARMS / tests)
    moves = {SCORE: _move(specification.score_reference, "s", totals[0], z)}
    for indices, part in zip(parts(specification), totals, strict=True):
        for i in indices:
            feature = specification.features[i]
            category = feature.kind == "category"
            moves[feature.name] = _move(specification.references[i], f"f{i}_", part, z, category=category)
    return moves


def _move(known: Reference, prefix: str, totals: Mapping[str, int], z: float, *, category: bool = False) -> Move:
    shares = np.array(known.shares)
    counts = np.array([totals.get(f"{prefix}{b}", 0) for b in range(len(shares))])
    events = _independent(totals)
    noise = 1 / known.rows + 1 / max(events, 1)
    by_word = MIN_CATEGORY_ROWS / known.rows + 1 / max(events, 1)  # a category is known or not with all its rows
    current = counts / max(counts.sum(), 1)
    rise = 0.0
    if category:
        # Known categories are those that were frequent, so new rows have less of them than the reference says.
        expected = min(max(current[-2], shares[-2]), max(known.unknown, shares[-2]))
        shares[:-2] *= 1 - (expected - shares[-2]) / max(shares[:-2].sum(), EMPTY)
        shares[-2], rise = expected, current[-2] - expected
    middle = shares[-2] + rise / 2
    freedom = max(int(np.count_nonzero(shares + current)) - 1, 1)
    spread = 2 / (9 * freedom)
    return Move(
        index=stability_index(shares * known.rows, current * events),
        chance=noise * freedom * (1 - spread + z * math.sqrt(spread)) ** 3,  # Wilson and Hilferty 1931
        unknown=rise,
        unknown_chance=z * math.sqrt(middle * (1 - middle) * by_word),
    )


def _independent(totals: Mapping[str, int]) -> float:
    """Events of the window as if each came from another user."""
    events = totals.get("n", 0)
    squares = sum(totals.get(f"u{i}", 0) ** 2 for i in range(SIGNS)) / SIGNS * (1 + math.sqrt(2 / SIGNS))
    return events * min(1.0, events / max(squares, 1.0))
