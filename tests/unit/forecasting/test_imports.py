"""What is imported when, seen in fresh processes."""

import subprocess
import sys

HEAVY = ("numpy", "prophet", "cmdstanpy", "pandas", "pyarrow", "matplotlib")


CACHED = 'assert service.forecast(Question("a", 7, 0.95, {})).source == "table"\n'
COMPUTED = """
assert service.forecast(Question("new", 8, 0.95, {})).source == "computed"
assert service.forecast(Question("a", 8, 0.95, {})).source == "computed"
assert service.similar("a", 1) is not None
"""


def loaded(code):
    script = f"import sys\n{code}\nprint(','.join(m for m in {HEAVY!r} if m in sys.modules))"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip().splitlines()[-1] if done.stdout.strip() else ""


def test_the_handler_needs_no_heavy_library():
    assert loaded("import functions.forecasting.handler") == ""


def test_a_cached_answer_needs_no_heavy_library_and_a_computed_one_only_numpy(tmp_path):
    """The fakes and their content come from a file, made by a process that may import what it likes."""
    stored = tmp_path / "house.pickle"
    make = f"""
import pickle
from dataclasses import replace
import numpy as np
from tests.forecasting import House, made
from functions.forecasting.contracts import Question
house = House()
series = made(300, name="a")
house.put(replace(series, y=series.y * np.exp(0.003 * np.arange(300))))
house.train()
house.put(made(300, name="new"), key="sales/new.csv")
house.service().forecast(Question("a", 7, 0.95, {{}}))
open({str(stored)!r}, "wb").write(pickle.dumps((house.lake, house.models, house.answers, house.registry)))
"""
    assert "prophet" in loaded(make)
    answer = f"""
import pickle
from functions.forecasting.api import create_app
from functions.forecasting.contracts import Question
from functions.forecasting.settings import ForecastingSettings
from functions.forecasting.serve import ForecastService
from functions.forecasting.store import Answers, Catalog, Histories, Models, Overrides
lake, models, answers, registry = pickle.load(open({str(stored)!r}, "rb"))
service = ForecastService(
    Histories(lake, freshness=0), Catalog(lake), Models(models, registry, freshness=0),
    Answers(answers, keep_seconds=60), Overrides(answers, freshness=0), ForecastingSettings(),
)
"""
    assert loaded(answer + CACHED) == ""
    assert loaded(answer + CACHED + COMPUTED) == "numpy"
