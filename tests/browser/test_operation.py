"""The room of operation: healthy, with something to attend to, failing, on a phone, in the dark, in German."""

import re
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from playwright.sync_api import expect

from tests.browser.conftest import EN, SETTINGS, Open, Shot, whole
from tests.browser.site import Site

ROOM = "#room=operation"
NOW = datetime.now(UTC)


def run(job: str, ago: timedelta, outcome: str = "done", **more: Any) -> dict[str, Any]:
    began = NOW - ago
    known = {
        "job": job,
        "key": f"{began:%Y-%m-%d}",
        "run_id": "r",
        "fingerprint": "f",
        "outcome": outcome,
        "detail": "",
    }
    times = {"started_at": began.isoformat(), "finished_at": (began + timedelta(seconds=42.25)).isoformat()}
    return known | times | {"counts": {}, "gb_seconds": 8.1} | more


BUSY = {
    "healthy": False,
    "attention": [
        "forecasting 91ffa3017c2b44de: shard 3 failed after 3 tries",
        "12 messages in ClassificationDeadLetters: `trefoil redrive classification --dry-run` counts them by reason",
    ],
    "runs": {
        "clustering": run(
            "clustering", timedelta(hours=9), counts={"rides": 1_204_511, "anomalies": 12_310, "rejected": 17}
        ),
        "forecasting": run("forecasting", timedelta(days=4), "failed", key="9" * 64, detail="shard 3 failed"),
        "classification-train": None,
        "classification-outcomes": run("classification-outcomes", timedelta(minutes=8), "running", finished_at=None),
    },
    "models": {
        "forecasting": {
            "version": "ebc586aecd2c347d",
            "previous": "1f0c8f8be02a91dd",
            "since": (NOW - timedelta(days=11)).isoformat(),
            "reason": "trained",
            "created_at": None,
            "figures": {"mean_skill": 0.2134, "mean_wape": 0.0871, "series": 1115},
        },
        "classification": None,
    },
    "queues": {"ClassificationQueue": 0, "ClassificationDeadLetters": 12, "Undelivered": 0},
    "alarms": ["trefoil-dev-forecasting-run-failed"],
    "yesterday": {"clustering": 32.3, "forecasting": 0, "classification-train": 0, "classification-outcomes": 1.25},
    "dollars": {"clustering": 5.4e-4, "forecasting": 0, "classification-train": 0, "classification-outcomes": 2.1e-5},
}


def test_what_runs_is_told_from_the_stack_and_refreshed_without_signing_in_again(
    signed_in: Open, site: Site, shot: Shot
):
    page = signed_in()
    page.get_by_role("navigation", name="Rooms").get_by_role("link", name="Operation").click()
    expect(page.locator("[aria-current=page]")).to_have_text("Operation")
    assert page.url == f"{site.url}{ROOM}"
    expect(page.locator("#main")).to_be_focused()
    job = page.get_by_role("row").filter(has=page.get_by_role("rowheader", name="forecasting", exact=True))
    expect(job.first).to_contain_text(re.compile(r"done.*minute.*s.*series 1\d"))
    expect(page.get_by_text("Healthy")).to_be_visible()
    expect(page.get_by_role("row", name=re.compile("^forecasting [0-9a-f]{16}"))).to_contain_text("mean skill")
    shot(page, "operation")
    with page.expect_response("**/v1/operation"):
        page.get_by_role("button", name="Refresh").click()
    page.go_back()
    expect(page.get_by_role("heading", name="Which store?")).to_be_visible()
    expect(page.locator("[aria-current=page]")).to_have_text("Forecasts")


@pytest.mark.parametrize("name", SETTINGS)
def test_what_needs_attention_comes_first(signed_in: Open, shot: Shot, name: str):
    settings = {"words": EN} | SETTINGS[name]
    page = signed_in("#series=store-0003", **settings)
    page.route("**/v1/operation", lambda route: route.fulfill(json=BUSY))
    page.locator("#rooms a").last.click()
    expect(page.locator("#operation .attention").first.get_by_role("listitem")).to_have_count(2)
    first = page.locator("#operation .card").first
    expect(first).to_contain_text("2 Sachen brauchen" if name == "german" else "2 things need attention")
    expect(page.locator("#operation tbody tr").first).to_contain_text("1.204.511" if name == "german" else "1,204,511")
    total = page.locator("#operation tbody").first.locator("tr").last
    expect(total).to_contain_text(re.compile(r"33[.,]6.*0[.,]00056"))
    whole(page)
    shot(page, f"operation-{name}")
    page.locator("#rooms a").first.click()
    expect(page.get_by_role("heading", name="store-0003")).to_be_visible()


def test_commands_that_change_a_model_are_copied_and_not_run(signed_in: Open):
    page = signed_in(ROOM)
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    page.get_by_role("button", name="Copy trefoil models list forecasting").click()
    expect(page.get_by_text("Copied")).to_be_visible()
    assert page.evaluate("() => navigator.clipboard.readText()") == "trefoil models list forecasting"


def test_a_room_that_fails_says_so_and_is_tried_again(signed_in: Open, shot: Shot):
    page = signed_in()
    down = {"title": "x", "status": 503, "detail": "storage does not answer for the moment", "retry_after": 0}
    page.route("**/v1/operation", lambda route: route.fulfill(status=500, json=down), times=1)
    page.get_by_role("link", name="Operation").click()
    expect(page.get_by_role("alert").filter(has_text="Storage does not answer for the moment.")).to_be_visible()
    shot(page, "operation-failed")
    page.get_by_role("button", name="Try again").click()
    expect(page.get_by_text("Healthy")).to_be_visible()
    expect(page.locator("#problem")).to_be_hidden()
