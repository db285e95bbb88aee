"""The pipelines that are compared: encoder and forest, encoder and logistic regression."""

import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from sklearn.compose import ColumnTransformer
from sklearn.exceptions import ConvergenceWarning
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from functions.classification.contracts import Feature
from functions.classification.domain.schema import Inputs, names

Bools = npt.NDArray[np.bool_]


def frame(inputs: Inputs, features: Sequence[Feature]) -> pd.DataFrame:
    """The inputs as the frame that the pipelines take: one column per input, in order."""
    return pd.DataFrame({name: pd.Series(inputs[name].ravel()) for name in names(features)})


def encoder(features: Sequence[Feature], *, scaled: bool = False) -> ColumnTransformer:
    """One-hot of the known categories (others are all zero); median for missing numbers."""
    words = {f"c{i}": list(f.categories) for i, f in enumerate(features) if f.kind == "category"}
    numbers = [name for name in names(features) if name not in words]
    number: Any = SimpleImputer(strategy="median")
    if scaled:
        number = Pipeline([("fill", number), ("scale", StandardScaler())])
    one_hot = OneHotEncoder(
        categories=list(words.values()), handle_unknown="ignore", sparse_output=False, dtype=np.float32
    )
    steps = [("numbers", number, numbers), ("words", one_hot, list(words))]
    return ColumnTransformer([step for step in steps if step[2]])


def fit_logistic(rows: pd.DataFrame, y: Bools, features: Sequence[Feature]) -> Pipeline:
    """The baseline: logistic regression on the same columns, scaled."""
    pipeline = Pipeline([("encode", encoder(features, scaled=True)), ("model", LogisticRegression(max_iter=500))])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # a baseline that has not quite converged is still one
        return pipeline.fit(rows, y)
