# /// script
# requires-python = ">=3.11,<3.14"
# dependencies = ["statsforecast>=2.1"]  # it holds pandas below 3, so it has an environment of its own
# ///
"""Run in an environment with statsforecast: histories (JSON, null is unknown) in, forecasts and seconds out."""

import json
import sys
import time
from pathlib import Path

import numpy as np
from statsforecast.models import AutoETS, SeasonalNaive


def filled(values: list[float | None]) -> np.ndarray:
    """An unknown day takes the value of the week before, else zero."""
    y = np.array(values, dtype=float)
    for i in np.flatnonzero(np.isnan(y)):
        y[i] = y[i - 7] if i >= 7 else 0.0
    return y


def main(given: str, taken: str, horizon: int) -> None:
    """Forecast every history with each model."""
    histories = [filled(values) for values in json.loads(Path(given).read_text())]
    forecasts, seconds = {}, {}
    for name, model in (("AutoETS", AutoETS(season_length=7)), ("SeasonalNaive", SeasonalNaive(season_length=7))):
        model.forecast(y=histories[0], h=horizon)  # compiled before the clock starts
        started = time.perf_counter()
        forecasts[name] = [np.maximum(model.forecast(y=y, h=horizon)["mean"], 0.0).tolist() for y in histories]
        seconds[name] = time.perf_counter() - started
    Path(taken).write_text(json.dumps({"forecasts": forecasts, "seconds": seconds}))


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]))
