"""What people know better: they say so on the page, see both lines, take it back, and read what it was worth."""

import csv
import io
import re
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import DE, Open, Shot
from tests.browser.site import MONTHS, YOUNG

STORE = "store-0005"
PHONE = {"viewport": {"width": 360, "height": 740}, "has_touch": True, "is_mobile": True}
WORTH = {
    "start": "2025-02-10",
    "end": "2025-02-12",
    "factor": 1.3,
    "by": "ada",
    "at": "2025-02-01T08:00:00.000000Z",
    "reason": "street fair",
    "expires": "2025-02-28",
}


def opened(page: Page, name: str) -> Page:
    expect(page.get_by_role("heading", name=name)).to_be_visible()
    expect(page.locator("#overrides form")).to_be_visible()
    expect(page.locator("#status")).to_be_empty()
    return page


def say(page: Page, number: str, reason: str, *, first: int = 0, last: int = 0, unit: str = "factor") -> None:
    part = page.locator("#overrides")
    part.get_by_label("From").select_option(str(first))
    part.get_by_label("To", exact=True).select_option(str(last))
    part.get_by_label("Will be").fill(number)
    part.get_by_label("Unit").select_option(unit)
    part.get_by_label("Reason").fill(reason)
    part.get_by_role("button", name="Override").click()


def rows(page: Page) -> Any:
    return page.locator("#overrides .stores li")


def file_of(page: Page, folder: Path) -> list[dict[str, str]]:
    with page.expect_download() as download:
        page.get_by_role("button", name="Download CSV").click()
    path = folder / "file.csv"
    download.value.save_as(path)
    return [row for row in csv.DictReader(io.StringIO(path.read_text())) if row["kind"] == "forecast"]


def test_a_planner_overrides_days_sees_both_lines_and_takes_it_back(signed_in: Open, shot: Shot, tmp_path: Path):
    page = opened(signed_in(f"#series={STORE}"), STORE)
    before = file_of(page, tmp_path)
    assert "model" not in before[0]
    say(page, "150", "street fair", first=2, last=4)
    expect(rows(page)).to_have_count(1)
    expect(rows(page).first).to_contain_text("+50% on the forecast")
    expect(rows(page).first).to_contain_text("street fair")
    expect(page.locator("#readout")).to_contain_text("Planned")
    expect(page.locator("#overrides-total")).to_contain_text(re.compile(r"planned for the next 42 days, \+\d"))
    say(page, "90", "road works", first=7, last=7, unit="value")
    expect(rows(page)).to_have_count(2)
    shot(page, "overrides")
    after = file_of(page, tmp_path)
    assert [row["model"] for row in after] == [row["forecast"] for row in before]
    assert [i for i, row in enumerate(after) if row["forecast"] != row["model"]] == [2, 3, 4, 7]
    assert float(after[3]["forecast"]) == pytest.approx(1.5 * float(after[3]["model"]), rel=1e-4)
    assert float(after[7]["forecast"]) == 90
    page.get_by_role("button", name="Table").click()
    expect(page.locator("#table-part thead")).to_contain_text("PlannedForecast")
    again = opened(signed_in(f"#series={STORE}"), STORE)
    for left in (1, 0):
        rows(again).first.get_by_role("button", name="Take back").click()
        expect(rows(again)).to_have_count(left)
    expect(again.locator("#readout")).not_to_contain_text("Planned")
    expect(again.locator("#overrides-total")).to_be_empty()


def test_days_are_chosen_by_zooming_the_chart_to_them(signed_in: Open):
    page = opened(signed_in(f"#series={STORE}"), STORE)
    area = page.locator("#plot .u-over").bounding_box()
    assert area
    page.mouse.move(area["x"] + area["width"] - 60, area["y"] + 80)
    page.mouse.down()
    page.mouse.move(area["x"] + area["width"] - 20, area["y"] + 80, steps=5)
    page.mouse.up()
    page.wait_for_url(re.compile("from=2.*to=2"))
    start, end = re.findall(r"(?:from|to)=([\d-]+)", page.url)
    expect(page.get_by_label("From")).not_to_have_value("0")
    chosen = page.evaluate("['override-from', 'override-to'].map((id) => document.getElementById(id).value)")
    between = page.evaluate("([a, b]) => (Date.parse(b) - Date.parse(a)) / 864e5", [start, end])
    assert int(chosen[1]) - int(chosen[0]) == between > 0


def test_a_wrong_word_is_said_and_nothing_is_kept(signed_in: Open):
    page = opened(signed_in(f"#series={YOUNG}"), YOUNG)
    say(page, "120", "late", first=4, last=2)
    expect(page.locator("#overrides .wrong")).to_have_text("End: lies before start.")
    say(page, "120", "", first=1, last=2)
    expect(page.get_by_label("Reason")).to_be_focused()
    expect(rows(page)).to_have_count(0)


@pytest.mark.parametrize(
    ("name", "context"),
    [("overrides-worth", {}), ("overrides-dark", {"color_scheme": "dark"}), ("overrides-phone", PHONE)],
)
def test_what_overrides_were_worth_is_told_by_reason_and_in_all(
    signed_in: Open, shot: Shot, name: str, context: dict[str, Any]
):
    page = signed_in(**context)
    parts = [
        {"periods": 3, "error_without": 60.0, "error_with": 20.0, "value_added": 40.0},
        {"periods": 1, "error_without": 5.0, "error_with": 15.0, "value_added": -10.0},
    ]
    items = [WORTH | {"value_added": parts[0]}, WORTH | {"by": "bob", "reason": "rumour", "value_added": parts[1]}]
    total = {"periods": 4, "error_without": 65.0, "error_with": 35.0, "value_added": 30.0}
    by_reason = [{"by": one["by"], "reason": one["reason"], **part} for one, part in zip(items, parts, strict=True)]
    told = {"series_id": YOUNG, "items": items, "by_reason": by_reason, "total": total}
    page.route(re.compile("/overrides"), lambda route: route.fulfill(json=told))
    page.evaluate(f"location.hash = 'series={YOUNG}'")
    opened(page, YOUNG)
    part = page.locator("#overrides")
    expect(part).to_contain_text(
        "In all: over 4 days that have come, the plan was off by 35, the model alone by 65: 30 (46.2%) better."
    )
    expect(part).to_contain_text(
        "rumour, by bob: over 1 day that have come, the plan was off by 15, the model alone by 5: 10 (200%) worse."
    )
    expect(rows(page).first).to_contain_text("value added +40")
    assert page.evaluate("document.documentElement.scrollWidth") <= context.get("viewport", {"width": 1280})["width"]
    shot(page, name)


def test_in_german_a_month_is_overridden(signed_in: Open, shot: Shot):
    page = signed_in(f"#series={MONTHS}", locale="de-DE", words=DE)
    expect(page.get_by_role("heading", name="Überschriebenes")).to_be_visible()
    expect(page.get_by_label("Einheit")).to_contain_text("Verkäufe im Monat")
    shot(page, "overrides-german")
