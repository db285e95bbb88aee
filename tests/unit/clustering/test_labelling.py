"""Severity, reasons and the model: what an analyst relies on."""

import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from functions.clustering import simulate
from functions.clustering.domain.fit import Reservoir, fit
from functions.clustering.domain.model import BOOK, Model, Parameters, label
from functions.clustering.domain.report import reasons
from functions.clustering.domain.table import FARTHEST_KM, LONGEST_H, NOTHING
from layers.runtime.errors import CorruptError, InputError

any_ride = st.tuples(st.floats(NOTHING, FARTHEST_KM), st.floats(NOTHING, LONGEST_H))


def simulated(rows: int = 4_000, seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    table = simulate.rides(rows, seed)
    return table["ride_dist"].to_numpy(), table["ride_time"].to_numpy(), np.array(table["kind"])


MODELS = [fit(*simulated(1_000)[:2], parameters) for parameters in (Parameters(), BOOK)]


@pytest.fixture(scope="module")
def model() -> Model:
    return fit(*simulated()[:2], Parameters())


@settings(max_examples=200, deadline=None)
@given(st.lists(any_ride, min_size=1, max_size=30))
def test_severity_is_finite_and_above_one_for_exactly_the_noise_of_any_ride(drawn: list[tuple[float, float]]) -> None:
    dist, time = np.array(drawn).T
    for made in MODELS:
        found = label(made, dist, time)
        assert np.isfinite(found.severity).all()
        assert (found.severity >= 0).all()
        assert ((found.severity > 1) == (found.label == -1)).all()
        assert len(reasons(made, dist, time)) == len(dist)


@settings(max_examples=100, deadline=None)
@given(st.lists(st.tuples(st.floats(1e-3, 1e3), st.floats(1e-3, 1e3)), min_size=1, max_size=60))
def test_any_sample_gives_a_model_that_can_be_kept(drawn: list[tuple[float, float]]) -> None:
    dist, time = np.array(drawn).T
    try:
        made = fit(dist, time, Parameters())
    except InputError:
        assert (dist / time > 160).mean() >= 0.5
        return
    kept = Model.load(made.dump())
    assert kept.dump() == made.dump()
    assert np.array_equal(label(kept, dist, time).severity, label(made, dist, time).severity)


def test_labelling_in_pieces_is_labelling_at_once(model: Model) -> None:
    dist, time, _ = simulated(1_000, 3)
    whole = label(model, dist, time)
    pieces = [label(model, dist[i : i + 7], time[i : i + 7]) for i in range(0, 1_000, 7)]
    assert np.array_equal(np.concatenate([piece.severity for piece in pieces]), whole.severity)


def test_kinds_of_abnormal_ride_are_found_and_ordinary_ones_are_left_alone(model: Model) -> None:
    dist, time, kind = simulated(20_000, 9)
    flagged = label(model, dist, time).is_anomaly
    assert flagged[kind != "normal"].mean() > 0.5
    assert (kind[flagged] != "normal").mean() > 0.75
    assert all(flagged[kind == one].mean() > 0.4 for one in ("fast", "slow", "long"))


def test_a_recording_error_does_not_bend_the_scale() -> None:
    dist, time, _ = simulated()
    clean = fit(dist, time, Parameters())
    broken = fit(np.append(dist, [55_027 * 1.609] * 5), np.append(time, [0.5] * 5), Parameters())
    assert broken.eps == pytest.approx(clean.eps, rel=0.05)
    assert broken.sampled == clean.sampled
    one = label(broken, dist, time).is_anomaly
    assert (one == label(clean, dist, time).is_anomaly).mean() > 0.99


def test_min_samples_grows_with_the_sample_so_that_size_does_not_hide_anomalies() -> None:
    shares = []
    for rows in (1_000, 1_500, 30_000):
        dist, time, _ = simulated(rows)
        made = fit(dist, time, Parameters())
        assert made.min_samples == round(min(rows, 2_000) * 0.005)
        shares.append(label(made, dist, time).is_anomaly.mean())
    assert max(shares) - min(shares) < 0.03


@pytest.mark.parametrize(
    ("ride", "said"),
    [
        (
            (12.4, 2 / 60),
            "12.4 km in 2 min: 372 km/h, 12 times the usual speed for this distance, over the possible 160 km/h",
        ),
        ((5.0, 5.0 / 90), "5 km in 3.33 min: 90 km/h, 3 times the usual speed for this distance"),
        ((5.0, 1.0), "5 km in 60 min: 5 km/h, 6 times slower than usual for this distance"),
        ((29.0, 29.0 / 30), "29 km in 58 min: longer than 99.9 % of rides, 5.8 times the usual distance"),
    ],
)
def test_the_reason_says_what_is_unusual_and_by_how_much(model: Model, ride: tuple[float, float], said: str) -> None:
    dist, time = np.array([ride[0]]), np.array([ride[1]])
    assert label(model, dist, time).is_anomaly.all()
    words = reasons(model, dist, time)[0].as_py()
    assert words.split(":")[0] == said.split(":")[0]
    assert words.split()[-4:] == said.split()[-4:]
    ours, theirs = (float(text.split(" times")[0].split()[-1]) if " times" in text else 0 for text in (words, said))
    assert ours == pytest.approx(theirs, rel=0.1)


def test_a_reason_names_what_few_rides_have(model: Model) -> None:
    dist, time, _ = simulated(20_000)
    flagged = label(model, dist, time).is_anomaly
    words = reasons(model, dist[flagged], time[flagged]).to_pylist()
    shares = [float(found[1]) for each in words if (found := re.search(r"than ([\d.]+) % of rides", each))]
    assert shares
    assert min(shares) >= 90
    assert max(shares) < 100
    times = [float(found[1]) for each in words if (found := re.search(r"km/h, ([\d.]+) times", each))]
    assert min(times) >= 1.2


def test_silhouette_is_none_for_one_cluster_and_high_for_two() -> None:
    rng = np.random.default_rng(0)
    one = fit(rng.normal(5, 0.2, 1_000), rng.normal(0.2, 0.01, 1_000), BOOK)
    assert (one.facts()["clusters"], one.silhouette) == (1, None)
    far = fit(
        np.abs(np.append(rng.normal(3, 0.1, 500), rng.normal(60, 0.1, 500))),
        np.abs(np.append(rng.normal(0.1, 0.003, 500), rng.normal(2, 0.003, 500))),
        BOOK,
    )
    assert far.facts()["clusters"] == 2
    assert far.silhouette is not None
    assert far.silhouette > 0.9


def test_a_sample_is_uniform_over_the_stream_and_does_not_grow() -> None:
    seen = np.zeros(1_000)
    for seed in range(200):
        sample = Reservoir(100, seed)
        for start in range(0, 1_000, 130):
            numbers = np.arange(start, min(start + 130, 1_000), dtype=float)
            sample.add(numbers, numbers)
        dist, time = sample.rides()
        assert len(dist) == 100
        assert (dist == time).all()
        assert (np.diff(dist) > 0).all()
        seen[dist.astype(int)] += 1
    # 20 expected of each, deviation 4.2; the means of early, middle and late rides are tighter.
    assert seen.max() < 42
    assert all(abs(part.mean() - 20) < 1.5 for part in np.array_split(seen, 5))


@pytest.mark.parametrize(
    "files", [{}, {"model.json": b"{}", "arrays.npz": b""}, {"model.json": b"\xff", "arrays.npz": b"x"}]
)
def test_foreign_bytes_are_no_model(files: dict[str, bytes]) -> None:
    with pytest.raises(CorruptError):
        Model.load(files)
