"""One model for all series of a frequency: boosted trees on what is known on the eve of a period, told at many origins.

Each row of the training is a period as it was known some before (`evidence`), so the model answers for any series of
that frequency, one without a model of its own included. Montero-Manso and Hyndman, "Principles and algorithms for
forecasting groups of time series" (2021), say why one model for all can do better than one for each.
"""

from collections.abc import Collection, Mapping, Sequence
from functools import lru_cache
from typing import Any, Final

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from functions.forecasting.domain import frame as frames
from functions.forecasting.domain.evidence import absolute, evidence, relative
from functions.forecasting.domain.frame import Frame
from functions.forecasting.domain.frequency import DAYS, Frequency
from functions.forecasting.domain.series import Floats, Series
from layers.learning.session import Session
from layers.runtime.errors import CorruptError

SPECIFICATION: Final = "global.json"
TREES: Final = "global.onnx"
MIN_SERIES: Final = 3
MIN_ROWS: Final = 1_000
# Periods between origins; no multiple of the cycle, so that all of its places meet.
STEPS: Final = {"H": 37, "D": 12, "W": 1, "M": 1, "Q": 1}
THINNEST: Final = 4  # periods after one origin say much the same: of too many, one of two to four is learned from


class Parameters(BaseModel):
    """How the model is fitted. Time and memory grow with `rows` times `rounds`."""

    model_config = ConfigDict(frozen=True)

    horizon: int = Field(48, ge=1, description="periods after an origin that are learned from")
    rows: int = Field(600_000, ge=1, description="most rows; beyond them, periods are left out, then origins")
    rounds: int = Field(600, ge=1, description="most trees; else one for every 800 rows, and 180 for few")
    seed: int = Field(0, ge=0)
    threads: int = Field(1, ge=1)


class Specification(BaseModel):
    """What belongs to the trees: the columns they take, in order, and what they were fitted on."""

    model_config = ConfigDict(frozen=True)

    frequency: str = DAYS.kind
    columns: tuple[str, ...]
    series: int
    rows: int


class GlobalModel:
    """A fitted model. It needs onnxruntime and numpy only."""

    def __init__(self, specification: Specification, body: bytes) -> None:
        """`body` is the ONNX file. Raises CorruptError when it is not one."""
        self.specification, self._body = specification, body
        self._session = Session(body, name="the global model")

    def forecast(self, frame: Frame) -> Floats:
        """Median sales of each period from `frame.start` on, shape (n,); closed ones, and all without sales, are 0."""
        rows = evidence(frame)
        moves = self._session.scores({"x": _table(rows.columns, self.specification.columns)})
        return np.where(frame.open[frame.start :] > 0, absolute(rows.base + moves, rows.usual), 0.0)

    def of(self, frequency: Frequency) -> bool:
        """Whether it is one of this kind of periods."""
        return self.specification.frequency == frequency.kind

    def __reduce__(self) -> tuple[Any, ...]:
        """Travels to another process by its files; there, one session serves all its copies."""
        return _restore, (self.specification, self._body)

    def dump(self) -> dict[str, bytes]:
        """The files of the model by name."""
        return {SPECIFICATION: self.specification.model_dump_json().encode(), TREES: self._body}


@lru_cache(4)
def _restore(specification: Specification, body: bytes) -> GlobalModel:
    return GlobalModel(specification, body)


def load(files: Mapping[str, bytes]) -> GlobalModel:
    """Undo `dump`. Raises CorruptError."""
    try:
        return GlobalModel(Specification.model_validate_json(files[SPECIFICATION]), files[TREES])
    except (KeyError, ValidationError) as exc:
        raise CorruptError("not the files of a global model") from exc


def fit(series: Sequence[Series], parameters: Parameters, *, known: Collection[str] = ()) -> GlobalModel | str:
    """The model of all series, which have one kind of period; or in words why there is none.

    Regressors in `known` are known beforehand, as planned ones are. The same series in the same order give the same
    model.
    """
    origins = _origins(series, parameters)
    every = -(-len(origins) * parameters.horizon // parameters.rows)
    firsts = np.random.default_rng(parameters.seed).permutation(len(origins)) % every  # all places of a cycle meet
    parts = [
        _rows(series[i], start, parameters, known, slice(first, None, every))
        for first, (i, start) in zip(firsts, origins, strict=True)
    ]
    rows = sum(len(y) for _, y in parts)
    count = len({i for (i, _), (_, y) in zip(origins, parts, strict=True) if len(y)})
    if count < MIN_SERIES:
        return f"{count} series are long enough and sold something, fewer than {MIN_SERIES}"
    if rows < MIN_ROWS:
        return f"{rows} examples to learn from in {count} series, fewer than {MIN_ROWS}"
    columns = tuple(dict.fromkeys(name for part, _ in parts for name in part))
    x = np.concatenate([_table(part, columns) for part, _ in parts])
    y = np.concatenate([y for _, y in parts])
    from layers.learning import trees  # not where answers are given

    booster = trees.fit(
        x,
        y,
        objective="regression_l1",  # the median is the same on every scale
        rounds=min(parameters.rounds, max(180, rows // 800)),
        seed=parameters.seed,
        threads=parameters.threads,
        learning_rate=0.05,
        max_bin=63,  # half the time of 255, and no less exact
        num_leaves=63,
        min_data_in_leaf=80,
        bagging_fraction=0.8,
        bagging_freq=1,
        feature_fraction=0.5,
    )
    specification = Specification(frequency=series[0].frequency.kind, columns=columns, series=count, rows=rows)
    return GlobalModel(specification, trees.export(booster, x, seed=parameters.seed))


def _origins(series: Sequence[Series], parameters: Parameters) -> list[tuple[int, int]]:
    """Pairs of a series and a row before which nothing was known, drawn at random when they are too many."""
    pairs = []
    for i, one in enumerate(series):
        step, first = STEPS[one.frequency.kind], 2 * one.frequency.rhythm.fold
        pairs += [(i, start) for start in range(one.observed - step, first, -step)]
    most = max(1, THINNEST * parameters.rows // parameters.horizon)
    order = np.random.default_rng(parameters.seed).permutation(len(pairs))
    return [pairs[i] for i in np.sort(order[:most])]


def _rows(
    one: Series, start: int, parameters: Parameters, known: Collection[str], picked: slice
) -> tuple[dict[str, Floats], Floats]:
    """Columns and target of the `picked` of the open periods after an origin; none where nothing was sold before."""
    end = min(start + parameters.horizon, one.observed)
    frame = frames.build(one, end - start, start=start, known=known)
    rows = evidence(frame)
    sales = one.y[start:end]
    useful = np.isfinite(sales) & (frame.open[start:] > 0) & (rows.usual > 0)
    target = relative(sales[useful], rows.usual) - rows.base[useful] if useful.any() else np.zeros(0)
    return {name: v[useful][picked].astype(np.float32) for name, v in rows.columns.items()}, target[picked]


def _table(columns: dict[str, Floats], names: Sequence[str]) -> np.ndarray:
    """The named columns side by side, float32 of shape (n, names); NaN for one that this series lacks."""
    size = len(next(iter(columns.values())))
    return np.stack([columns.get(name, np.full(size, np.nan)) for name in names], axis=1).astype(np.float32)
