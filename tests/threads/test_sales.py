"""Reports on forecasts of series with gaps."""

from pathlib import Path

import numpy as np
import pyarrow.parquet as parquet

from cli.main import app


def forecast(days: np.ndarray, y: np.ndarray, folder: Path, horizon: int) -> np.ndarray:
    """What `trefoil forecast` says of a file with these rows."""
    file, out = folder / "sales.csv", folder / "out"
    file.write_text("ds,y\n" + "".join(f"{day},{value:.4f}\n" for day, value in zip(days, y, strict=True)))
    command = ["forecast", str(file), "--out", str(out), "--horizon", str(horizon), "--engine", "threads", "--json"]
    app(command, standalone_mode=False)
    return parquet.read_table(out / "forecasts.parquet")["yhat"].to_numpy()


def test_where_the_low_values_are_missing_the_forecast_stays_within_what_was_seen(tmp_path: Path) -> None:
    """https://github.com/facebook/prophet/issues/2412
    with 289 of 720 points missing, mostly near zero, the seasonal term shoots far above every value seen
    """
    rng = np.random.default_rng(0)
    days = np.datetime64("2022-01-01") + np.arange(720)
    y = np.maximum(0.0, 0.8 * np.sin(2 * np.pi * np.arange(720) / 7)) + rng.uniform(0.0, 0.1, 720)
    kept = np.sort(np.argsort(y + rng.uniform(0, 0.1, 720))[289:])
    yhat = forecast(days[kept], y[kept], tmp_path, 28)
    assert (yhat >= 0).all()
    assert yhat.max() <= 1.25 * y[kept].max()


def test_a_gap_at_the_turn_of_a_year_of_weekly_values_invents_no_season(tmp_path: Path) -> None:
    """https://github.com/facebook/prophet/issues/2621
    weekly rows, of which the first two months of the last year are missing, give a yearly season out of nothing
    """
    rng = np.random.default_rng(0)
    days = np.datetime64("2021-01-04") + 7 * np.arange(156)
    y = 100 + rng.normal(0, 3, 156)
    kept = (days < np.datetime64("2023-01-01")) | (days >= np.datetime64("2023-03-01"))
    yhat = forecast(days[kept], y[kept], tmp_path, 26)
    assert len(yhat) == 26
    assert np.abs(yhat - 100).max() <= 10
