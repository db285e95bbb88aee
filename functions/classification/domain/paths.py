"""From a fitted learner to the file of `Explanation`: the paths of its trees, or the terms of its regression."""

import io
from collections.abc import Iterator, Sequence
from typing import Any, Final, NamedTuple

import lightgbm
import numpy as np

from functions.classification.contracts import Feature
from functions.classification.domain.explanation import CODES, Arrays
from functions.classification.domain.learners import Fitted
from functions.classification.domain.schema import Matrix, places
from layers.learning.trees import round_down

ALL: Final = (1 << CODES) - 1


class Condition(NamedTuple):
    """What is asked of one column: a number above `low`, up to `high`; a category whose bit is set."""

    low: float = -np.inf
    high: float = np.inf
    missing: bool = True
    codes: int = ALL

    def meet(self, other: "Condition") -> "Condition":
        """What passes both."""
        low, high = max(self.low, other.low), min(self.high, other.high)
        return Condition(low, high, self.missing and other.missing, self.codes & other.codes)


class Node(NamedTuple):
    """A node of a tree: how many training rows reached it, and a leaf's value or the column that parts its children."""

    rows: float
    value: float = 0.0
    feature: int = 0
    children: tuple[tuple[Condition, "Node"], ...] = ()


Path = dict[int, tuple[Condition, float]]  # by column, with the share of training rows that pass its tests


class Column(NamedTuple):
    """A column after encoding: a number (`median` where it is missing), a `mark` that one is missing, or a category."""

    feature: int
    median: float = 0.0
    mark: bool = False
    code: int | None = None


def explanation_bytes(fitted: Fitted, x: Matrix, features: Sequence[Feature]) -> bytes:
    """The file of `Explanation`; the mean of a regression's terms is over the rows `x`, which it was fitted to."""
    if isinstance(fitted, lightgbm.Booster):
        inputs = [Column(i, mark=mark) for i, mark in _owners(features)]
        trees = [_boosted(tree["tree_structure"], inputs) for tree in fitted.dump_model()["tree_info"]]
        arrays = _leaves(trees) | {"probability": np.array(False)}
    elif hasattr(fitted["last"], "estimators_"):
        columns, forest = _encoded(fitted, features), fitted["last"].estimators_
        trees = [_sampled(tree.tree_, columns, len(forest)) for tree in forest]
        arrays = _leaves(trees) | {"probability": np.array(True)}
    else:
        arrays = _regression(fitted, x, features)
    body = io.BytesIO()
    np.savez_compressed(body, allow_pickle=False, **arrays)
    return body.getvalue()


def _leaves(trees: Sequence[Node]) -> Arrays:
    """The different conditions, and of shape (columns of the longest path, leaves) which of them and their shares."""
    leaves = [(node, node.rows / tree.rows, path) for tree in trees for node, path in _paths(tree)]
    width = max(1, *(len(path) for _, _, path in leaves))
    conditions = {(0, Condition()): 0}  # which fills a path up: every row passes
    condition = np.zeros((width, len(leaves)), dtype=np.int64)
    share = np.ones((width, len(leaves)))
    for leaf, (_, _, path) in enumerate(leaves):
        for place, (feature, (asked, passing)) in enumerate(path.items()):
            condition[place, leaf] = conditions.setdefault((feature, asked), len(conditions))
            share[place, leaf] = passing
    low, high, missing, codes = zip(*(asked for _, asked in conditions), strict=True)
    return {
        "feature": np.array([feature for feature, _ in conditions]),
        "low": np.array(low),
        "high": np.array(high),
        "missing": np.array(missing),
        "codes": np.array(codes, dtype=np.uint64),
        "condition": condition,
        "share": share,
        "value": np.array([node.value for node, _, _ in leaves]),
        "base": np.array(sum(node.value * rows for node, rows, _ in leaves)),
    }


def _paths(tree: Node) -> Iterator[tuple[Node, Path]]:
    stack: list[tuple[Node, Path]] = [(tree, {})]
    while stack:
        node, path = stack.pop()
        condition, share = path.get(node.feature, (Condition(), 1.0))
        for asked, child in node.children:
            stack.append((child, path | {node.feature: (condition.meet(asked), share * child.rows / node.rows)}))
        if not node.children:
            yield node, path


def _cut(limit: float = np.inf, missing: bool = False, codes: int = ALL) -> tuple[Condition, Condition]:
    """What goes left, numbers up to `limit` or categories whose bit is set, and what goes right."""
    return Condition(high=limit, missing=missing, codes=codes), Condition(
        limit, missing=not missing, codes=ALL & ~codes
    )


def _parted(column: Column, threshold: float, missing: bool) -> tuple[Condition, Condition]:
    """What goes left, up to the threshold, and what goes right; `missing`: whether a missing number goes left."""
    if column.code is not None:
        # 1 of rows with this category, else 0; resampled rows lie between, and so may a threshold.
        bit = 2 << column.code
        return _cut(codes=(ALL & ~bit if threshold >= 0 else 0) | (bit if threshold >= 1 else 0))
    if column.mark:  # 1 where the number is missing, else 0
        return _cut(np.inf if threshold >= 0 else -np.inf, missing=threshold >= 1)
    return _cut(round_down(threshold), missing)


def _boosted(node: dict[str, Any], columns: Sequence[Column]) -> Node:
    """A tree of LightGBM's dump."""
    if "leaf_value" in node:
        return Node(node.get("leaf_count", 1), node["leaf_value"])
    column, threshold = columns[node["split_feature"]], node["threshold"]
    if node["decision_type"] == "==":
        sides = _cut(codes=sum(2 << int(code) for code in threshold.split("||")))
    else:
        missing = node["default_left"] if node["missing_type"] == "NaN" else threshold >= 0
        sides = _parted(column, threshold, missing)
    children = (_boosted(node[side], columns) for side in ("left_child", "right_child"))
    return Node(node["internal_count"], 0.0, column.feature, tuple(zip(sides, children, strict=True)))


def _sampled(tree: Any, columns: Sequence[Column], trees: int, at: int = 0) -> Node:
    """One of the trees of a forest, on the columns of `learners`' encoder; its values are shares of the votes."""
    rows, place, threshold = (of[at].item() for of in (tree.weighted_n_node_samples, tree.feature, tree.threshold))
    if place < 0:
        return Node(rows, tree.value[at, 0, -1] / trees)
    column = columns[place]
    sides = _parted(column, threshold, column.median <= threshold)
    children = (_sampled(tree, columns, trees, side[at]) for side in (tree.children_left, tree.children_right))
    return Node(rows, 0.0, column.feature, tuple(zip(sides, children, strict=True)))


def _owners(features: Sequence[Feature]) -> list[tuple[int, bool]]:
    """Of each input the feature it is of, and whether it marks that one is missing."""
    return [(i, place > own[0]) for i, own in enumerate(places(features)) for place in own]


def _encoded(fitted: Any, features: Sequence[Feature]) -> list[Column]:
    encoder = fitted["encode"].named_transformers_
    numbers = [(i, mark) for i, mark in _owners(features) if features[i].kind != "category"]
    medians = encoder["numbers"]["fill"].statistics_.tolist() if numbers else []
    columns = [Column(i, median, mark) for (i, mark), median in zip(numbers, medians, strict=True)]
    words = [i for i, feature in enumerate(features) if feature.kind == "category"]
    return columns + [Column(i, code=code) for i in words for code in range(len(features[i].categories))]


def _regression(fitted: Any, x: Matrix, features: Sequence[Feature]) -> Arrays:
    """Terms of each column: of each code from -1 (of a number 0 and 1), where it is missing, and the mean.

    Columns do not meet in a regression, so that one row of inputs gives a term of each.
    """
    owners = np.array([column.feature for column in _encoded(fitted, features)])
    marks = np.array([mark for _, mark in _owners(features)])
    words = np.array([features[i].kind == "category" for i, _ in _owners(features)])
    codes = np.where(marks, 0.0, np.arange(-1.0, CODES - 1)[:, None])
    missing = np.where(marks, 1.0, np.where(words, -1.0, np.nan))[None]

    def terms(rows: Any) -> Any:
        weighted = fitted["encode"].transform(rows) * fitted["last"].coef_[0]
        return np.stack([weighted[:, owners == i].sum(axis=1) for i in range(len(features))])

    mean = terms(x).mean(axis=1)
    return {
        "table": terms(codes),
        "missing": terms(missing)[:, 0],
        "mean": mean,
        "base": fitted["last"].intercept_[0] + mean.sum(),
        "probability": np.array(False),
    }
