"""Bank customers in the shape of the UCI bank marketing data, with a known process behind the target.

`log_odds` is that process; no column gives it away. `moved` (0 to 1) is how far the population has moved: other people
are reached in other months through other channels, what predicts the target changes, and its rate rises.
"""

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from functions.classification.domain.schema import Floats

Columns = dict[str, npt.NDArray[Any]]

START = datetime(2024, 1, 1, tzinfo=UTC)

JOBS = {
    "blue-collar": (0.21, -0.25),
    "management": (0.21, 0.1),
    "technician": (0.17, 0.0),
    "admin.": (0.11, 0.05),
    "services": (0.09, -0.15),
    "retired": (0.05, 0.55),
    "self-employed": (0.04, 0.0),
    "entrepreneur": (0.035, -0.3),
    "unemployed": (0.03, 0.15),
    "housemaid": (0.025, -0.25),
    "student": (0.02, 0.7),
    "unknown": (0.01, 0.0),
}
MARITAL = {"married": (0.6, -0.1), "single": (0.28, 0.15), "divorced": (0.12, 0.05)}
EDUCATION = {"secondary": (0.51, 0.0), "tertiary": (0.3, 0.25), "primary": (0.15, -0.2), "unknown": (0.04, 0.0)}
MONTHS = {
    "jan": (0.03, -0.6),
    "feb": (0.06, 0.2),
    "mar": (0.01, 1.4),
    "apr": (0.065, 0.6),
    "may": (0.305, -0.6),
    "jun": (0.118, 0.0),
    "jul": (0.152, -0.3),
    "aug": (0.138, -0.1),
    "sep": (0.013, 1.2),
    "oct": (0.016, 1.3),
    "nov": (0.088, -0.3),
    "dec": (0.005, 1.2),
}
MOVED_MONTHS = {"sep": 0.25, "oct": 0.25, "mar": 0.2, "dec": 0.1, "apr": 0.1, "may": 0.1}


def customers(rows: int, seed: int, moved: float = 0.0) -> pa.Table:
    """Labelled customers: the sixteen columns of bank.csv and its target `y`."""
    rng = np.random.default_rng(seed)
    columns = _people(rows, rng, moved)
    chance = 1 / (1 + np.exp(-log_odds(columns, moved)))
    hit = rng.random(rows) < chance
    # The call lasts longer when it succeeds: known only afterwards, hence a leak.
    columns["duration"] = np.round(rng.gamma(2.0, np.where(hit, 270.0, 110.0)) + 4).astype(np.int64)
    columns["y"] = np.where(hit, "yes", "no")
    order = ["age", "job", "marital", "education", "default", "balance", "housing", "loan", "contact", "day", "month"]
    order += ["duration", "campaign", "pdays", "previous", "poutcome", "y"]
    return pa.table({name: columns[name] for name in order})


def log_odds(columns: Columns, moved: float = 0.0) -> Floats:
    """Log-odds of `y` = yes: the process that a model is to find."""
    age, balance = columns["age"].astype(float), columns["balance"].astype(float)
    stay = -1.6 + sum(_effects(columns, stay=True))
    stay += 0.0011 * (age - 42) ** 2 + 0.16 * np.log1p(np.maximum(balance, 0) / 500) - 0.11 * columns["campaign"]
    stay += 2.1 * (columns["poutcome"] == "success") + 0.3 * (columns["poutcome"] == "other")
    # Interaction: a housing loan weighs less on those with money.
    stay -= 0.6 * (columns["housing"] == "yes") * (balance < 1_500)
    gone = -0.6 + sum(_effects(columns, stay=False))
    gone += 0.02 * (42 - age) + 0.35 * np.log1p(np.maximum(balance, 0) / 500) - 0.35 * columns["campaign"]
    gone += 0.9 * (columns["housing"] == "yes") - 0.9 * (columns["contact"] == "unknown")
    mixed: Floats = (1 - moved) * stay + moved * gone
    return mixed


def _effects(columns: Columns, *, stay: bool) -> Iterator[Floats]:
    for name, table in {"job": JOBS, "marital": MARITAL, "education": EDUCATION, "month": MONTHS}.items():
        sign = 1.0 if stay or name != "month" else -0.5
        yield sign * np.array([table[word][1] for word in columns[name]])
    if stay:
        yield np.where(columns["contact"] == "unknown", -0.75, 0.0) - 0.4 * (columns["loan"] == "yes")


def _people(rows: int, rng: np.random.Generator, moved: float) -> Columns:
    columns: Columns = {
        "age": np.clip(np.round(rng.gamma(9.0, 2.6, rows) + 18), 18, 92).astype(np.int64),
        "job": _draw(rng, JOBS, rows),
        "marital": _draw(rng, MARITAL, rows),
        "education": _draw(rng, EDUCATION, rows),
        "default": np.where(rng.random(rows) < 0.018, "yes", "no"),
        "balance": np.round(rng.lognormal(6.4 + 0.6 * moved, 1.3, rows) - 350).astype(np.int64),
        "housing": np.where(rng.random(rows) < 0.56 - 0.2 * moved, "yes", "no"),
        "loan": np.where(rng.random(rows) < 0.16, "yes", "no"),
        "contact": rng.choice(
            ["cellular", "unknown", "telephone"], rows, p=_mix(moved, [0.64, 0.29, 0.07], [0.9, 0.02, 0.08])
        ),
        "day": rng.integers(1, 32, rows),
        "month": rng.choice(
            list(MONTHS), rows, p=_mix(moved, _shares(MONTHS), [MOVED_MONTHS.get(m, 0.0) for m in MONTHS])
        ),
        "campaign": np.minimum(rng.geometric(0.36 + 0.2 * moved, rows), 50),
    }
    known = rng.random(rows) < 0.18 + 0.2 * moved
    columns["pdays"] = np.where(known, rng.integers(1, 400, rows), -1)
    columns["previous"] = np.where(known, rng.geometric(0.35, rows), 0)
    past = rng.choice(["failure", "other", "success"], rows, p=[0.6, 0.24, 0.16])
    columns["poutcome"] = np.where(known, past, "unknown")
    return columns


def _draw(rng: np.random.Generator, table: dict[str, tuple[float, float]], rows: int) -> npt.NDArray[Any]:
    return rng.choice(list(table), rows, p=_shares(table))


def _shares(table: dict[str, tuple[float, float]]) -> list[float]:
    total = sum(share for share, _ in table.values())
    return [share / total for share, _ in table.values()]


def _mix(moved: float, before: list[float], after: list[float]) -> Floats:
    mixed = (1 - moved) * np.array(before) + moved * np.array(after)
    normalised: Floats = mixed / mixed.sum()
    return normalised


def events(
    table: pa.Table,
    *,
    seed: int = 0,
    start: datetime = START,
    every: timedelta = timedelta(seconds=1),
    users: int | None = None,
) -> list[str]:
    """Bodies of queue messages, one per row, the first at `start`; of fewer `users` than rows some come more than once.

    They carry what is known before the call: all columns but `duration` and `y`.
    """
    rows = table.drop_columns(["duration", "y"]).to_pylist()
    who = np.arange(len(rows)) if users is None else np.random.default_rng(seed).integers(0, users, len(rows))
    return [
        json.dumps(
            {
                "event_id": f"event-{seed}-{i:07d}",
                "user_id": f"user-{who[i]:07d}",
                "observed_at": (start + i * every).isoformat(),
                "features": row,
            }
        )
        for i, row in enumerate(rows)
    ]
