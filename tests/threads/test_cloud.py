"""Reports on running it."""

from datetime import timedelta

import numpy as np

from layers.storage.ledger import RunLedger
from tests.fakes import InMemoryTable


def test_an_upload_that_is_delivered_several_times_is_one_run() -> None:
    """https://github.com/aws-solutions-library-samples/accelerated-intelligent-document-processing-on-aws/issues/904
    4,384 uploads became 14,727 runs, because a queue delivered again what was slow
    """
    uploads, deliveries = 4_384, 14_727
    rng = np.random.default_rng(0)
    again = rng.integers(0, uploads, deliveries - uploads)
    ledger, runs = RunLedger(InMemoryTable("job", "key")), []
    for upload in rng.permutation([*range(uploads), *again]).tolist():
        claim = ledger.claim("sales", f"sales/{upload}.csv", fingerprint="etag", lease=timedelta(minutes=10))
        runs += [claim.run] * claim.granted
        if claim.granted and rng.random() < 0.5:  # the other half is still under way when the next delivery comes
            ledger.finish(claim.run, "done")
    assert len(runs) == uploads
