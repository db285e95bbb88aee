"""Real trip records: stray dates, rides of 24 hours, zero and absurd distances."""

from pathlib import Path

import numpy as np
import pytest

from tests.ride_quality import book_recall, real_quality, real_rides


@pytest.fixture
def months(real_data: Path) -> tuple[Path, Path]:
    found = (
        real_data / "rides" / "green_tripdata_2020-06.parquet",
        real_data / "rides" / "green_tripdata_2020-07.parquet",
    )
    if not all(path.exists() for path in found):
        pytest.skip("the two months of green taxi rides are not in the real data")
    return found


def test_injected_anomalies_rank_high_in_a_month_the_model_has_not_seen(months: tuple[Path, Path]) -> None:
    june, july = map(real_rides, months)
    assert len(june[0]) == 60_155
    for history, day in ((june, july), (july, june)):
        recall = real_quality(history, day, seed=3)
        assert recall["ours"] >= 0.6
        assert recall["ours"] >= 1.35 * max(recall["isolation forest"], recall["10th neighbour"])
        assert np.isfinite(list(recall.values())).all()
    assert recall["ours"] >= 10 * book_recall(june, seed=3)
