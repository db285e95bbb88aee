"""From labelled rows to a model that has passed the parity gate.

A test part is set aside. On folds of the other rows a randomised search compares the learners; their scores of rows
that no fold's fit saw give calibration and threshold; and the model that is served is fitted on every row but the test
part. Encoding, resampling and learner are fitted inside each fold, so no synthetic row reaches a validation.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import Any, Final

import numpy as np
from pydantic import BaseModel, Field
from sklearn.isotonic import IsotonicRegression
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import precision_recall_curve
from sklearn.model_selection import ParameterSampler

from functions.classification.contracts import EXPLANATION_FILE, MODEL_FILE, Calibration, Feature, Specification
from functions.classification.domain import drift, learners, paths, schema
from functions.classification.domain.learners import Fitted, Options
from functions.classification.domain.metrics import average_precision
from functions.classification.domain.model import Model, calibrated, log_odds, make_segments, segment_names
from functions.classification.domain.schema import Bools, Floats, Matrix, Rows
from functions.classification.domain.splits import Labelled, Parts, distinct, divide
from functions.classification.domain.target import Target
from layers.learning.trees import PARITY_ROWS, TOLERANCE, check_parity
from layers.runtime.errors import CorruptError, InputError

Progress = Callable[[int, int], None]

MIN_OF_EACH: Final = 20
EXPLAINED_ROWS: Final = 100
NAMED: Final = 5  # columns in a message
LEAK: Final = "repeats the target: a leak"
ISOTONIC_OF_EACH: Final = 1_000  # rows of each kind from which a free map is better than a straight line
MOST_LOST, FLOORS = 1e-3, (1e-3, 1e-6)  # of average precision: scores beyond the floor of the map become ties


class Parameters(BaseModel, frozen=True):
    """How a model is made. Trees and leaves are capped so that it loads and answers fast."""

    iterations: int = Field(16, ge=1, le=500, description="candidates of the randomised search")
    seed: int = Field(0, ge=0)
    folds: int = Field(4, ge=2)
    trees: int = Field(120, ge=10, le=400, description="trees of a forest")
    search_rows: int = Field(12_000, description="most rows that the search looks at")
    budget_seconds: float = Field(600, gt=0, description="the search stops so that the whole training fits in this")
    value: float = Field(0, ge=0, description="what acting on a positive brings")
    cost: float = Field(0, ge=0, description="what acting on anybody costs; 0: not known, nor the value")


@dataclass(frozen=True)
class Work:
    """Rows to learn from, in time order when `ordered`: inputs, truth, whose each is, and how to learn."""

    x: Matrix
    y: Bools
    groups: Rows
    ordered: bool
    features: Sequence[Feature]
    parameters: Parameters

    def take(self, rows: Rows) -> "Work":
        """These rows, in this order."""
        return Work(self.x[rows], self.y[rows], self.groups[rows], self.ordered, self.features, self.parameters)

    def fit(self, options: Options) -> Fitted:
        """The learner that `options` names, fitted to all rows; recent rows weigh more when it says so."""
        recent, trees, seed = options.get("recent"), self.parameters.trees, self.parameters.seed
        age = np.arange(len(self.y))[::-1] / len(self.y)
        weights = np.exp(-age / recent) if recent else np.ones(len(self.y))
        return learners.fit(options, self.x, self.y, self.features, weights=weights, forest=trees, seed=seed)

    def out_of_fold(self, options: Options) -> Floats:
        """Scores (rows,) by a learner that saw nobody of the row's fold; NaN where no fold has the row."""
        scores = np.full(len(self.y), np.nan)
        for seen, unseen in folds(self.y, self.groups, self.parameters, ordered=self.ordered):
            if 0 < self.y[seen].sum() < len(seen):
                scores[unseen] = learners.predict(self.take(seen).fit(options), self.x[unseen])
        return scores


@dataclass(frozen=True)
class Searched:
    """The options that won, how many candidates were tried, and each learner's best: its options and its figure."""

    chosen: Options
    tried: int
    cut: bool
    learners: dict[str, dict[str, Any]]

    @property
    def logistic(self) -> Options:
        """The baseline's options: the best that were tried, else the default."""
        options: Options = self.learners.get("logistic", {}).get("options", {"learner": "logistic"})
        return options


@dataclass(frozen=True)
class Trained:
    """A candidate: the model, its files, and what it and its peers say about rows that nobody saw."""

    model: Model
    files: dict[str, bytes]
    fitted: Fitted
    search: Searched
    parity: float
    rows: Labelled
    x: Matrix
    parts: Parts
    scores: dict[str, Floats]
    thresholds: dict[str, float]
    counts: dict[str, int]
    dropped: dict[str, str]
    refused: list[str]

    @cached_property
    def test(self) -> Labelled:
        """The rows that nobody saw."""
        return self.rows.take(self.parts.test)


def folds(y: Bools, groups: Rows, parameters: Parameters, *, ordered: bool) -> list[tuple[Rows, Rows]]:
    """(rows to fit, rows to validate on): forwards in time if `ordered` and both sides have both kinds, else dealt.

    No group (a number per row) is on both sides.
    """
    if ordered:
        cuts = [int(len(y) * share) for share in (0.4, 0.6, 0.8, 1.0)]
        ahead = [np.arange(a, b) for a, b in pairwise(cuts)]
        forward = [(np.flatnonzero(~np.isin(groups[: v[0]], groups[v])), v) for v in ahead if len(v)]
        usable = [(s, v) for s, v in forward if 0 < y[s].sum() < len(s) and 0 < y[v].sum() < len(v)]
        if usable:
            return usable
    _, members = np.unique(groups, return_inverse=True)
    positive = np.bincount(members, weights=y) > 0
    shuffled = np.random.default_rng(parameters.seed).permutation(len(positive))
    fold = np.empty(len(positive), dtype=np.int64)
    fold[shuffled[np.argsort(~positive[shuffled], kind="stable")]] = np.arange(len(positive)) % parameters.folds
    dealt = [(np.flatnonzero(fold[members] != k), np.flatnonzero(fold[members] == k)) for k in range(parameters.folds)]
    return [(s, v) for s, v in dealt if y[v].any()]


def train(
    rows: Labelled,
    target: Target,
    parameters: Parameters,
    *,
    in_order: bool = False,
    refused: Sequence[str] = (),
    progress: Progress | None = None,
) -> Trained:
    """Search, fit, calibrate, choose the threshold, export, compare. Raises InputError for too little to learn from."""
    good, x, features, dropped, counts = _usable(rows)
    refused = [*refused, *(name for name in dropped if dropped[name] == LEAK)]
    parts = divide(good, features, seed=parameters.seed, in_order=in_order)
    _check_both_kinds(good.y, parts)
    learnt, test = parts.learn, parts.test
    work = Work(x[learnt], good.y[learnt], parts.groups[learnt], parts.split.kind != "hash", features, parameters)
    search = search_options(work, progress=progress)
    fitted = work.fit(search.chosen)
    raw, logistic = (work.out_of_fold(options) for options in (search.chosen, search.logistic))
    judged = np.flatnonzero(~np.isnan(raw))
    y, calibration = work.y[judged], calibrate(raw[judged], work.y[judged])
    base_rate, p = float(y.mean()), calibrated(raw[judged], calibration)
    known = {"model": p, "dummy": np.full(len(y), base_rate), "logistic": logistic[judged]}
    thresholds = {name: choose_threshold(y, scores, parameters) for name, scores in known.items()}
    scores = {
        "model": calibrated(learners.predict(fitted, x[test]), calibration),
        "dummy": np.full(len(test), base_rate),
        "logistic": learners.predict(work.fit(search.logistic), x[test]),
    }
    held_out, own = np.concatenate([learnt[judged], test]), schema.places(features)
    specification = Specification(
        target=target.name,
        positive=target.positive,
        negative=target.negative,
        features=features,
        inputs="matrix",
        calibration=calibration,
        threshold=thresholds["model"],
        base_rate=base_rate,
        segments=make_segments(thresholds["model"], base_rate),
        references=tuple(drift.reference(x[:, own[i][0]], f, held_out) for i, f in enumerate(features)),
        score_reference=drift.reference(np.concatenate([p, scores["model"]]), None),
        split=parts.split,
        left_out=dict.fromkeys(refused, "known only afterwards") | dropped,
    )
    files = {
        MODEL_FILE: learners.to_bytes(fitted),
        EXPLANATION_FILE: paths.explanation_bytes(fitted, work.x, features),
    }
    model = Model("candidate", specification, files[MODEL_FILE], files[EXPLANATION_FILE])
    largest = parity(model, fitted, x, seed=parameters.seed)
    counts |= {"train": len(learnt), "test": len(test)}
    return Trained(model, files, fitted, search, largest, good, x, parts, scores, thresholds, counts, dropped, refused)


def _usable(rows: Labelled) -> tuple[Labelled, Matrix, tuple[Feature, ...], dict[str, str], dict[str, int]]:
    """Rows to learn from or to judge, their inputs and features, the columns left out with why, and rows left out."""
    features, dropped = _features(rows)
    whose = [*schema.identifiers(rows.columns), *([] if rows.group is None else [rows.group])]
    whose += [name for name in dropped if schema.dated(rows.columns[name])]
    first = distinct(rows, list(dict.fromkeys([feature.name for feature in features] + whose)))
    copies = len(rows.y) - len(first)
    if copies:  # what they say of a column is said twice
        rows = rows.take(first)
        features, dropped = _features(rows)
    x, bad = schema.encode(rows.columns, features)
    sound = np.array([i for i in range(len(rows.y)) if i not in bad], dtype=np.int64)
    good = rows.take(sound)
    if (smallest := min(int(good.y.sum()), int((~good.y).sum()))) < MIN_OF_EACH:
        raise InputError(f"too few rows: at least {MIN_OF_EACH} of each kind are needed, there are {smallest}")
    return good, x[sound], features, dropped, {"rejected": len(bad), "copies": copies}


def _check_both_kinds(y: Bools, parts: Parts) -> None:
    for name, part in {"learn from": parts.learn, "judge": parts.test}.items():
        if not 0 < y[part].sum() < len(part):
            raise InputError(f"the {len(part)} rows that are to {name} are not of both kinds")


def _features(rows: Labelled) -> tuple[tuple[Feature, ...], dict[str, str]]:
    """Features to learn from, and the columns left out, each with its reason."""
    inferred, dropped = schema.infer({name: values for name, values in rows.columns.items() if name != rows.group})
    leaks = [one.name for one in inferred if _repeats(rows.columns[one.name], rows.y, words=one.kind == "category")]
    dropped |= dict.fromkeys(leaks, LEAK)
    features = tuple(feature for feature in inferred if feature.name not in leaks)
    if not features:
        why = [f"{name} ({reason})" for name, reason in dropped.items()]
        raise InputError(f"no column is left to learn from: {', '.join(why[:NAMED])}{', ..' if why[NAMED:] else ''}")
    return features, dropped | ({} if rows.group is None else {rows.group: "says whose row it is"})


def _repeats(values: Sequence[Any], y: Bools, *, words: bool) -> bool:
    """Whether a column says the target: it has two values, or is of `words` that have 20 rows each on average, and each
    stands for one of the target's; or it is missing in all rows of one kind and in none of the other."""
    truths: dict[str, set[bool]] = {}
    for value, truth in zip(values, y.tolist(), strict=True):
        truths.setdefault(schema.canonical(value), set()).add(truth)
    blank = truths.get("", set())
    known = set[bool]().union(*(of for value, of in truths.items() if value))
    few = len(truths) == 2 or (words and len(values) >= MIN_OF_EACH * len(truths))
    return (len(blank) == len(known) == 1 and blank != known) or (few and all(len(of) == 1 for of in truths.values()))


def search_options(
    work: Work, *, clock: Callable[[], float] = time.monotonic, progress: Progress | None = None
) -> Searched:
    """The learner and options of the greatest average precision on rows out of fold.

    The search ends early when the next candidate would not fit in half the time budget; `cut` says so.
    """
    parameters = work.parameters
    end = clock() + parameters.budget_seconds / 2
    few = work.take(_newest_or_random(work.y, work.ordered, parameters))
    candidates = _candidates(parameters, ordered=work.ordered)
    tried: list[dict[str, Any]] = []
    slowest = 0.0
    for options in candidates:
        started = clock()
        if tried and started + slowest > end:
            break
        scores = few.out_of_fold(options)
        judged = ~np.isnan(scores)
        figure = average_precision(few.y[judged], scores[judged]) if judged.any() else 0.0
        tried.append({"average_precision": figure, "options": options})
        slowest = max(slowest, clock() - started)
        if progress:
            progress(len(tried), len(candidates))
    ranked = sorted(tried, key=lambda one: one["average_precision"], reverse=True)
    best = {one["options"]["learner"]: one for one in reversed(ranked)}
    return Searched(ranked[0]["options"], len(tried), len(tried) < len(candidates), best)


def _newest_or_random(y: Bools, ordered: bool, parameters: Parameters) -> Rows:
    """At most `search_rows` rows, of which a rare kind is up to a twentieth, or all that there are."""
    rank = np.arange(len(y))[::-1] if ordered else np.random.default_rng(parameters.seed).permutation(len(y))
    order = np.argsort(rank)
    for kind in (y, ~y):
        rank[order[kind[order]][: parameters.search_rows // 20]] = -1
    return np.sort(np.argsort(rank, kind="stable")[: parameters.search_rows])


def _candidates(parameters: Parameters, *, ordered: bool) -> list[Options]:
    """Each learner as it is by default, and what a random draw adds."""
    recent = learners.RECENT if ordered else [None]
    space = [{"learner": [name], **own, "recent": recent} for name, own in learners.SPACE.items()]
    drawn = ParameterSampler(space, parameters.iterations, random_state=parameters.seed)
    first = [{name: values[0] for name, values in own.items()} for own in space]
    return [*first, *(options for options in drawn if options not in first)][: parameters.iterations]


def calibrate(scores: Floats, y: Bools) -> Calibration:
    """The map of scores to probabilities: isotonic (Zadrozny and Elkan 2002) where both kinds have 1,000 rows, else
    Platt's (1999) on his smoothed targets; where that ties too many scores below its floor, with a lower one.

    The scores themselves where that map falls or loses average precision.
    """
    enough = min(int(y.sum()), int((~y).sum())) >= ISOTONIC_OF_EACH
    for calibration in [_isotonic(scores, y)] * enough + [_platt(scores, y, floor) for floor in FLOORS]:
        lost = average_precision(y, scores) - average_precision(y, calibrated(scores, calibration))
        if calibration.slope > 0 and lost <= MOST_LOST:
            return calibration
    return Calibration(floor=0.0)


def _isotonic(scores: Floats, y: Bools) -> Calibration:
    """Straight lines between the middles of the steps, so that scores of one step keep their order."""
    steps = IsotonicRegression(out_of_bounds="clip").fit(scores, y)
    heights, which = np.unique(steps.y_thresholds_, return_inverse=True)
    middles = np.bincount(which, steps.X_thresholds_) / np.bincount(which)
    low, high = heights[0], heights[-1]
    ends = (0.999 * low, high + 0.001 * (1 - high))
    inside = (middles > 0) & (middles < 1)
    return Calibration(
        scores=(0.0, *middles[inside].tolist(), 1.0),
        probabilities=(float(ends[0]), *heights[inside].tolist(), float(ends[1])),
    )


def _platt(scores: Floats, y: Bools, floor: float) -> Calibration:
    """A row of target t is a positive of weight t and a negative of weight 1 - t."""
    positives, negatives = int(y.sum()), int((~y).sum())
    target = np.where(y, (positives + 1) / (positives + 2), 1 / (negatives + 2))
    x = np.tile(log_odds(scores, floor), 2)[:, None]
    truth, weights = np.repeat([1, 0], len(y)), np.concatenate([target, 1 - target])
    fitted = LogisticRegression().fit(x, truth, sample_weight=weights)
    return Calibration(slope=float(fitted.coef_[0, 0]), intercept=float(fitted.intercept_[0]), floor=floor)


def choose_threshold(y: Bools, p: Floats, parameters: Parameters) -> float:
    """Greatest F1, midway between two neighbouring probabilities; or with a value and a cost greatest expected profit:
    calibrated p times value passes cost."""
    if parameters.cost:
        return parameters.cost / parameters.value
    precision, recall, levels = precision_recall_curve(y, p)
    best = int(np.argmax(2 * precision * recall / np.maximum(precision + recall, 1e-12)))
    return float(levels[0] if best == 0 else (levels[best] + levels[best - 1]) / 2)


def parity(model: Model, fitted: Fitted, x: Matrix, *, seed: int, rows: int = PARITY_ROWS) -> float:
    """Largest difference of the score before calibration, on rows resampled column by column; of its explanation, on
    the first hundred.

    The calibrated probability is not compared: a steep map makes much of a difference of one rounding. Raises
    CorruptError when the difference passes 1e-5, or when a row changes its segment although its score lies further than
    that from the edge.
    """
    features, calibration = model.specification.features, model.specification.calibration
    rng = np.random.default_rng(seed)
    mixed = np.empty((rows, x.shape[1]), np.float32)
    for own in schema.places(features):
        mixed[:, own] = x[rng.integers(0, len(x), rows)][:, own]
    ours, theirs = model.raw(mixed), learners.predict(fitted, mixed)
    largest = check_parity(ours, theirs)
    if model.explanation is not None:
        check_parity(model.explanation.scores(mixed[:EXPLAINED_ROWS]), theirs[:EXPLAINED_ROWS])
    lowest, segments, highest = (
        segment_names(calibrated(scores, calibration), model.specification.segments)
        for scores in (theirs - TOLERANCE, ours, theirs + TOLERANCE)
    )
    if any(name not in near for name, *near in zip(segments, lowest, highest, strict=True)):
        raise CorruptError("the exported model gives a row another segment than the trained one")
    return largest
