"""Gradient boosted trees (Ke et al., "LightGBM", 2017): fitted on one thread, and stored as ONNX.

Features are one float32 array of shape (rows, features). NaN is missing. A category is its number from 0; NaN, a
negative number and a number that training never saw are alike: the row takes the branch of all other categories.
LightGBM takes numbers within 1e-35 of zero for zero.
"""

from collections.abc import Iterator, Sequence
from itertools import count
from typing import Any, Final, Literal, NamedTuple

import lightgbm
import numpy as np
import numpy.typing as npt
import onnx
from onnx import helper

from layers.learning.session import Session
from layers.runtime.errors import CorruptError

Features = npt.NDArray[np.float32]
Floats = npt.NDArray[np.float64]
Objective = Literal["binary", "regression", "regression_l1"]

OPSETS: Final = {"": 17, "ai.onnx.ml": 3}
TOLERANCE: Final = 1e-5
PARITY_ROWS: Final = 10_000


def fit(
    x: Features,
    y: npt.NDArray[Any],
    *,
    objective: Objective,
    rounds: int,
    seed: int,
    weights: Floats | None = None,
    categories: Sequence[int] = (),
    threads: int = 1,
    **settings: Any,
) -> lightgbm.Booster:
    """`rounds` trees that predict y (rows,) from x; the same arguments give the same trees.

    `categories` are the columns that hold categories, `settings` LightGBM's own parameters, such as `learning_rate`.
    Raises lightgbm.basic.LightGBMError when there is no row or a setting is out of range.
    """
    fixed = {"deterministic": True, "force_row_wise": True, "verbosity": -1}
    parameters = {**settings, **fixed, "objective": objective, "seed": seed, "num_threads": threads}
    data = lightgbm.Dataset(
        x.astype(np.float32, copy=False),
        y.astype(np.float32),
        weight=weights,
        categorical_feature=list(categories),
        params=parameters,
    )
    return lightgbm.train(parameters, data, num_boost_round=rounds)


def export(booster: lightgbm.Booster, x: Features, *, seed: int) -> bytes:
    """The trees as an ONNX file for `Session`, compared with the original on 10,000 rows resampled column by column.

    Raises CorruptError when the two differ by more than rounding.
    """
    body = onnx_bytes(booster)
    rng = np.random.default_rng(seed)
    mixed = np.stack([column[rng.integers(0, len(x), PARITY_ROWS)] for column in x.T], axis=1).astype(np.float32)
    check_parity(
        Session(body, name="the exported model").scores({"x": mixed}), np.asarray(booster.predict(mixed, num_threads=1))
    )
    return body


def check_parity(ours: npt.NDArray[Any], theirs: npt.NDArray[Any], tolerance: float = TOLERANCE) -> float:
    """Largest difference between the scores (rows,) of an exported model and its original.

    Raises CorruptError when it passes `tolerance`, which counts from the largest score where that is over one.
    """
    largest = float(np.abs(ours - theirs).max())
    if not largest <= tolerance * max(1.0, float(np.abs(theirs).max())):
        raise CorruptError(f"the exported model differs from the trained one by {largest:.2g}")
    return largest


class Node(NamedTuple):
    """A node of a tree as ONNX has it; `true` and `false` are the children, `missing` is where NaN goes."""

    id: int
    mode: str
    feature: int = 0
    value: float = 0.0
    true: int = 0
    false: int = 0
    missing: bool = False


def onnx_bytes(booster: lightgbm.Booster) -> bytes:
    """The trees as an ONNX file with input `x` (rows, features) and output `y` (rows, 1)."""
    model = booster.dump_model()
    trees = [list(_nodes(tree["tree_structure"])) for tree in model["tree_info"]]
    nodes = [node for tree in trees for node in tree]
    owner = [number for number, tree in enumerate(trees) for _ in tree]
    leaves = [(number, node) for number, node in zip(owner, nodes, strict=True) if node.mode == "LEAF"]
    ensemble = helper.make_node(
        "TreeEnsembleRegressor",
        ["x"],
        ["sum"],
        domain="ai.onnx.ml",
        n_targets=1,
        nodes_treeids=owner,
        nodes_nodeids=[node.id for node in nodes],
        nodes_modes=[node.mode for node in nodes],
        nodes_featureids=[node.feature for node in nodes],
        nodes_values=[0.0 if node.mode == "LEAF" else node.value for node in nodes],
        nodes_truenodeids=[node.true for node in nodes],
        nodes_falsenodeids=[node.false for node in nodes],
        nodes_missing_value_tracks_true=[int(node.missing) for node in nodes],
        target_treeids=[number for number, _ in leaves],
        target_nodeids=[node.id for _, node in leaves],
        target_ids=[0] * len(leaves),
        target_weights=[node.value for _, node in leaves],
    )
    x = helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, [None, booster.num_feature()])
    y = helper.make_tensor_value_info("y", onnx.TensorProto.FLOAT, [None, 1])
    # onnxruntime's regressor passes over `post_transform`.
    link = helper.make_node("Sigmoid" if model["objective"].startswith("binary") else "Identity", ["sum"], ["y"])
    graph = helper.make_graph([ensemble, link], "trees", [x], [y])
    opsets = [helper.make_opsetid(domain, version) for domain, version in OPSETS.items()]
    body: bytes = helper.make_model(graph, opset_imports=opsets, ir_version=8).SerializeToString()
    return body


def _nodes(root: dict[str, Any]) -> Iterator[Node]:
    """The nodes of one tree, the root first. A set of categories is a chain of equalities that share their branch."""
    ids = count()
    stack = [(root, next(ids))]
    while stack:
        node, here = stack.pop()
        if "leaf_value" in node:
            yield Node(here, "LEAF", value=node["leaf_value"])
            continue
        feature, left, right = node["split_feature"], next(ids), next(ids)
        stack += [(node["left_child"], left), (node["right_child"], right)]
        if node["decision_type"] == "==":
            codes = [float(code) for code in node["threshold"].split("||")]
            chain = [here, *(next(ids) for _ in codes[1:])]
            for link, code, other in zip(chain, codes, [*chain[1:], right], strict=True):
                yield Node(link, "BRANCH_EQ", feature, code, left, other)
        else:
            threshold = node["threshold"]
            # A feature that training never saw missing: LightGBM reads NaN as 0 there.
            missing = node["default_left"] if node["missing_type"] == "NaN" else threshold >= 0
            yield Node(here, "BRANCH_LEQ", feature, round_down(threshold), left, right, missing)


def round_down(threshold: float) -> float:
    """The largest float32 not above the threshold: it splits float32 features the same way."""
    single = np.float32(min(threshold, float(np.finfo(np.float32).max)))
    return float(np.nextafter(single, np.float32(-np.inf)) if float(single) > threshold else single)
