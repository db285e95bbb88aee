"""The commands know every job of the ledger by the name that its leaf writes."""

from cli.cloud import JOBS
from cli.ingest import INGEST
from functions.classification import training_service, watch_service
from functions.clustering import service as clustering
from functions.forecasting import intake, learn


def test_jobs_of_the_commands_are_those_of_the_leaves() -> None:
    written = {
        clustering.LEAF,
        intake.JOB,
        learn.JOB,
        training_service.JOB,
        watch_service.OUTCOMES_JOB,
        watch_service.RETRAIN_JOB,
    }
    assert set(JOBS) == written
    assert intake.JOB == INGEST
    assert all(JOBS.values())
