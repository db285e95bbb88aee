"""Results are deleted altogether and made again from the inputs alone, by the commands that a person has."""

import json
import os
import subprocess
import sys
from collections import Counter
from typing import Any

import numpy as np

from functions.clustering.contracts import DayManifest
from tests.conftest import ROOT
from tests.drivers import until
from tests.faults.conftest import Site
from tests.faults.leaves import Count, Sales, compared
from tests.tally import Tally

COUNTED = {"rides", "anomalies", "rejected", "files", "clusters", "eps", "min_samples", "model_version"}


def trefoil(site: Site, *arguments: str) -> Any:
    """The answer of a command on the local cloud of this suite."""
    done = subprocess.run(
        [sys.executable, "-m", "cli", *arguments, "--json"],
        cwd=ROOT,
        env=os.environ | {"TREFOIL_HOME": str(site.home)},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=900,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return json.loads(done.stdout)


def empty(site: Site, bucket: str, *prefixes: str) -> int:
    """Delete every object under the prefixes; says how many there were."""
    client, gone = site.stack.client("s3"), 0
    for prefix in prefixes:
        for page in client.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix):
            for entry in page.get("Contents", ()):
                client.delete_object(Bucket=bucket, Key=entry["Key"])
                gone += 1
    return gone


def forget_answers(site: Site) -> int:
    client, table = site.stack.client("dynamodb"), site.stack.outputs["ForecastsTable"]
    items = [i for page in client.get_paginator("scan").paginate(TableName=table) for i in page["Items"]]
    for item in items:
        client.delete_item(TableName=table, Key={name: item[name] for name in ("series_id", "item")})
    return len(items)


def forecast(site: Site, sales: Sales) -> dict[str, Any]:
    """The document of the second series."""
    path = f"/v1/series/{sales.series[1].series_id}/forecast?horizon=28"
    status, _, body = site.stack.request(path, token=site.token)
    assert status == 200, body[:300]
    document: dict[str, Any] = json.loads(body)
    return document


def told(manifest: DayManifest | None) -> dict[str, Any]:
    assert manifest is not None
    return manifest.model_dump(include=COUNTED)


def test_flags_and_forecasts_are_made_again_from_rides_and_sales_alone(site: Site, tally: Tally) -> None:
    # A model learned from the series of other tests too would differ from that of these two alone.
    empty(site, site.stack.lake.bucket, "sales/", "history/", "catalog.json")
    rides, sales, _ = site.leaves()
    rides.trigger()
    sales.trigger()
    sales.correct()
    truth, answer = told(rides.truth()), forecast(site, sales)

    lake, models = site.stack.outputs["LakeBucket"], site.stack.outputs["ModelsBucket"]
    gone = empty(site, lake, "anomalies/", "history/", "catalog.json", "plans/")
    gone += empty(site, models, "clustering/", "forecasting/") + forget_answers(site)
    assert gone

    day = str(rides.day)
    done = trefoil(site, "backfill", "anomalies", "--from", day, "--to", day, "--force")
    assert done["days"][0]["status"] == "published"
    assert told(rides.truth()) == truth
    read = trefoil(site, "backfill", "histories")
    assert [one["status"] for one in read["files"]] == ["done", "done"]
    assert trefoil(site, "train", "forecasting", "--force")["status"] == "published"
    rebuilt = forecast(site, sales)
    wanted, found = ([point["ds"] for point in one["points"]] for one in (answer, rebuilt))
    count = rides.check() + sales.check() + compared(Counter(wanted), Counter(found))
    for name in ("yhat", "lower", "upper"):
        before, after = ([point[name] for point in one["points"]] for one in (answer, rebuilt))
        np.testing.assert_allclose(after, before, rtol=1e-3)
    row(tally, "everything but rides/ and sales/ deleted", gone, count)


def row(tally: Tally, injected: str, times: int, count: Count) -> None:
    where = "flags, forecasts"
    count.tell(tally, "Recovery", injected=injected, where=where, times=times, next_run="rebuilds it")


def test_a_champion_that_is_rolled_back_is_the_one_that_answers(site: Site, tally: Tally) -> None:
    _, first, _ = site.leaves()
    first.trigger()
    good = site.stack.registry.champion("forecasting")
    _, second, _ = site.leaves()
    second.trigger()
    assert good is not None
    # A container trusts what it looked up for a second, and a training may take no longer.
    until(lambda: forecast(site, first)["model"]["version"] != good.version, "the later champion to answer")
    assert trefoil(site, "models", "rollback", "forecasting")["version"] == good.version
    until(lambda: forecast(site, first)["model"]["version"] == good.version, "the earlier champion to answer")
    row(tally, "champion rolled back", 1, first.check())
