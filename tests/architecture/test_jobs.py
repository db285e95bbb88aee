"""The commands know every job of the ledger by the name that its leaf writes."""

from cli.ingest import INGEST
from cli.stack import JOBS
from functions.classification import learn as classification
from functions.classification import watch
from functions.clustering import store as clustering
from functions.forecasting import intake, learn


def test_jobs_of_the_commands_are_those_of_the_leaves() -> None:
    written = {
        clustering.LEAF,
        intake.JOB,
        learn.JOB,
        classification.JOB,
        watch.OUTCOMES_JOB,
        watch.RETRAIN_JOB,
    }
    assert set(JOBS) == written
    assert intake.JOB == INGEST
    assert all(JOBS.values())
