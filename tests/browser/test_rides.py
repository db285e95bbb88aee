"""Last night's flags: which day stands out, what was flagged and why, and what an analyst says of it."""

import csv
import io
import json
import re
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Locator, Page, expect

from tests.browser.conftest import DE, Open, Shot
from tests.browser.site import GAP, NIGHT, Site

ROOM = "#room=rides"
BEFORE = NIGHT - timedelta(days=2)
PHONE = {"viewport": {"width": 360, "height": 740}, "has_touch": True, "is_mobile": True}


def opened(page: Page, day: str) -> Page:
    expect(page.get_by_role("heading", name=day)).to_be_visible()
    expect(page.locator(".flags tbody tr").first).to_be_visible()
    expect(page.locator("#status")).to_be_empty()
    return page


def row(page: Page, i: int) -> Locator:
    return page.locator(".flags tbody tr").nth(i)


def cell(page: Page, back: int) -> Locator:
    return page.locator(f"[data-day='{NIGHT - timedelta(days=back)}']")


def stored(site: Site, day: Any, i: int) -> Any:
    """The verdict that stands on the flag in this place of a day."""
    token = site.stack.token(site.username, site.password)
    return json.loads(site.stack.request(f"/v1/days/{day}/flags?limit=20", token=token)[2])["items"][i]["verdict"]


def test_last_night_opens_with_its_picture_its_flags_and_how_often_flags_were_right(signed_in: Open, shot: Shot):
    page = opened(signed_in(ROOM), "Tue, 14 Jul 2026")
    expect(page.get_by_role("navigation").get_by_role("link", name="Rides")).to_have_attribute("aria-current", "page")
    expect(page.get_by_role("img", name="Distance against time of 1,500 rides")).to_be_visible()
    severities = [float(text) for text in page.locator(".flags tbody td:nth-child(3)").all_text_contents()]
    assert severities == sorted(severities, reverse=True)
    expect(page.locator(".flags")).to_contain_text("Unusually slow")
    right = page.get_by_role("region", name="Are the flags right?")
    expect(right).to_contain_text("would have served")
    expect(right.locator("tbody tr").first).to_contain_text("30 of 40")
    expect(page.get_by_role("region", name="What people said")).to_contain_text("30 of 4")
    shot(page, "rides")


def test_the_calendar_tells_what_is_far_from_usual_and_what_is_missing_and_is_walked_with_arrows(signed_in: Open):
    page = opened(signed_in(ROOM), "Tue, 14 Jul 2026")
    expect(page.locator(".month caption")).to_have_text(["June 2026", "July 2026"])
    far = cell(page, 20)
    expect(far).to_have_attribute(
        "title", re.compile("24 Jun 2026: .*% of 1,500 rides flagged; usual: .*; far above usual")
    )
    expect(far).to_contain_text("▲")
    expect(page.get_by_text("▲")).to_have_count(2)  # that day, and the words that explain the mark
    expect(page.locator(".day.none", has_text=str((NIGHT - timedelta(days=GAP[0])).day))).to_have_count(1)
    expect(cell(page, 1)).to_have_attribute("title", re.compile("30 confirmed, 10 false alarms"))
    cell(page, 0).press("ArrowUp")
    expect(cell(page, 7)).to_be_focused()
    for _ in range(5):
        page.keyboard.press("ArrowLeft")
    expect(cell(page, 12)).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="Thu, 2 Jul 2026")).to_be_focused()
    expect(page.locator(".flags")).to_contain_text("This day was published before flags were listed.")
    expect(page.get_by_text("This day was published before pictures were kept.")).to_be_visible()
    assert "day=2026-07-02" in page.url
    page.go_back()
    opened(page, "Tue, 14 Jul 2026")
    page.get_by_role("button", name="Earlier").click()
    expect(page.locator(".month caption")).to_have_text(["April 2026", "May 2026"])
    expect(page.get_by_role("heading", name="Sun, 31 May 2026")).to_be_visible()
    page.get_by_role("button", name="Later").click()
    opened(page, "Tue, 14 Jul 2026")
    expect(page.get_by_role("button", name="Later")).to_be_disabled()


def test_flags_are_judged_with_a_note_and_undone_by_keys_alone(signed_in: Open, site: Site, shot: Shot):
    page = opened(signed_in(f"{ROOM}&day={BEFORE}"), "Sun, 12 Jul 2026")
    keys = page.keyboard
    row(page, 0).get_by_role("button").focus()
    keys.press("c")
    expect(row(page, 0)).to_contain_text("✓ Confirmed planner")
    expect(row(page, 1)).to_have_attribute("aria-current", "true")
    expect(row(page, 1).get_by_role("button")).to_be_focused()
    keys.press("j")
    keys.press("ArrowDown")
    keys.press("k")
    page.get_by_label("Note").fill("a ferry, f or c")
    row(page, 2).get_by_role("button").focus()
    keys.press("f")
    expect(row(page, 2)).to_contain_text("✗ False alarm planner: a ferry, f or c")
    expect(cell(page, 2)).to_have_attribute("title", re.compile("1 confirmed, 1 false alarms"))
    shot(page, "rides-judged")
    assert stored(site, BEFORE, 2)["note"] == "a ferry, f or c"
    keys.press("u")
    expect(page.locator(".flags [role=status]")).to_contain_text("taken back")
    expect(row(page, 2)).to_have_attribute("aria-current", "true")
    assert stored(site, BEFORE, 2)["verdict"] is None
    keys.press("u")
    expect(row(page, 0)).not_to_contain_text("Confirmed")
    expect(cell(page, 2)).not_to_have_attribute("title", re.compile("confirmed"))
    expect(page.locator(".flags [role=status]")).to_contain_text("taken back")
    assert stored(site, BEFORE, 0)["verdict"] is None


def test_a_word_that_cannot_be_saved_is_taken_from_the_page_and_said_again_by_a_button(
    signed_in: Open, site: Site, shot: Shot
):
    page = opened(signed_in(f"{ROOM}&day={BEFORE}"), "Sun, 12 Jul 2026")
    down = {"title": "x", "status": 500, "detail": "an unexpected condition on our side"}
    page.route(re.compile("/verdict[?]"), lambda route: route.fulfill(status=500, json=down), times=1)
    row(page, 4).click()
    page.locator(".judge").get_by_role("button", name="Confirm").click()
    wrong = page.locator(".flags [role=alert]")
    expect(wrong).to_contain_text("Not saved, what stood before stands again: ")
    expect(wrong).to_contain_text("An unexpected condition on our side.")
    expect(row(page, 4)).not_to_contain_text("Confirmed")
    shot(page, "rides-not-saved")
    assert stored(site, BEFORE, 4) is None
    wrong.get_by_role("button", name="Try again").click()
    expect(row(page, 4)).to_contain_text("✓ Confirmed planner")
    expect(wrong).to_be_empty()
    assert stored(site, BEFORE, 4)["verdict"] == "confirmed"


def test_a_newer_word_of_somebody_else_is_shown_as_what_stands(signed_in: Open):
    page = opened(signed_in(f"{ROOM}&day={BEFORE}"), "Sun, 12 Jul 2026")
    other = {"verdict": "false_alarm", "note": "", "by": "ada", "at": "2026-07-15T10:00:00.000000Z"}
    page.route(re.compile("/verdict[?]"), lambda route: route.fulfill(json=other), times=1)
    row(page, 6).click()
    page.locator(".judge").get_by_role("button", name="Confirm").click()
    expect(row(page, 6)).to_contain_text("✗ False alarm ada")
    expect(page.locator(".flags [role=status]")).to_contain_text("ada said something newer, and that stands.")


def test_the_like_are_listed_from_the_legend_and_by_severity_and_taken_along_as_a_file(signed_in: Open, tmp_path: Path):
    page = opened(signed_in(ROOM), "Tue, 14 Jul 2026")
    every = page.locator(".flags tbody tr").count()
    page.locator(".legend").get_by_role("button", name=re.compile("Unusually slow: [0-9]+")).click()
    expect(page.get_by_label("Reason")).to_have_value("slow")
    opened(page, "Tue, 14 Jul 2026")
    kinds = set(page.locator(".flags .reason b").all_text_contents())
    assert kinds == {"Unusually slow"}
    page.get_by_label("Severity from").fill("1.3")
    page.get_by_label("Severity from").press("Enter")
    page.wait_for_url(re.compile("min=1.3"))
    opened(page, "Tue, 14 Jul 2026")
    shown = page.locator(".flags tbody tr").count()
    assert 0 < shown < every
    with page.expect_download() as download:
        page.get_by_role("button", name="Download CSV").click()
    path = tmp_path / "flags.csv"
    download.value.save_as(path)
    assert download.value.suggested_filename == f"flags-{NIGHT}.csv"
    rows = list(csv.DictReader(io.StringIO(path.read_text())))
    assert len(rows) == shown
    assert {row["kind"] for row in rows} == {"slow"}
    assert min(float(row["severity"]) for row in rows) >= 1.3
    page.get_by_label("Severity from").fill("1000")
    page.get_by_label("Severity from").press("Enter")
    expect(page.locator(".flags")).to_contain_text("No flag is of this reason and severity.")


def test_the_picture_is_zoomed_by_buttons_keys_and_a_drag_and_a_mark_leads_to_its_row(signed_in: Open, shot: Shot):
    page = opened(signed_in(ROOM), "Tue, 14 Jul 2026")
    picture = page.get_by_role("img", name="Distance against time")
    pixels = "(canvas) => canvas.toDataURL()"
    whole = picture.evaluate(pixels)
    page.get_by_role("button", name="Zoom in").click()
    near = picture.evaluate(pixels)
    assert near != whole
    picture.press("ArrowRight")
    assert picture.evaluate(pixels) != near
    picture.press("0")
    assert picture.evaluate(pixels) == whole
    box = picture.bounding_box()
    assert box is not None
    page.mouse.move(box["x"] + box["width"] * 0.4, box["y"] + box["height"] * 0.3)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] * 0.8, box["y"] + box["height"] * 0.7)
    page.mouse.up()
    shot(page, "rides-zoomed")
    assert picture.evaluate(pixels) not in (whole, near)
    picture.dblclick(position={"x": 5, "y": 5})
    assert picture.evaluate(pixels) == whole
    row(page, 0).click()
    assert picture.evaluate(pixels) == whole
    row(page, 3).click()
    assert picture.evaluate(pixels) != whole


def test_a_day_that_fails_says_so_and_one_that_is_none_too(signed_in: Open, shot: Shot):
    page = opened(signed_in(ROOM), "Tue, 14 Jul 2026")
    down = {"title": "x", "status": 500, "detail": "an unexpected condition on our side"}
    page.route(re.compile(f"/v1/days/{BEFORE}$"), lambda route: route.fulfill(status=500, json=down), times=1)
    cell(page, 2).click()
    expect(page.locator("#problem")).to_contain_text("An unexpected condition on our side.")
    shot(page, "rides-failed")
    page.locator("#problem").get_by_role("button", name="Try again").click()
    opened(page, "Sun, 12 Jul 2026")
    page.evaluate("() => { location.hash = '#room=rides&day=2026-06-14'; }")
    expect(page.locator("#problem")).to_contain_text("No rides of 2026-06-14 are published.")
    page.evaluate("() => { location.hash = '#room=rides&day=yesterday&month=x'; }")
    opened(page, "Tue, 14 Jul 2026")


def test_before_the_first_day_it_says_what_is_awaited(signed_in: Open, shot: Shot):
    page = signed_in()
    page.route(re.compile("/v1/days[?]"), lambda route: route.fulfill(json={"items": []}))
    page.get_by_role("navigation").get_by_role("link", name="Rides").click()
    expect(page.get_by_role("heading", name="No rides yet")).to_be_visible()
    shot(page, "rides-none")


def test_the_room_in_german_in_the_dark(signed_in: Open, shot: Shot):
    page = opened(signed_in(ROOM, locale="de-DE", words=DE, color_scheme="dark"), "Di., 14. Juli 2026")
    expect(page.locator(".flags")).to_contain_text("Ungewöhnlich langsam")
    expect(page.locator(".judge").get_by_role("button", name="Bestätigen")).to_be_visible()
    shot(page, "rides-german-dark")


@pytest.mark.parametrize("fragment", [ROOM, f"{ROOM}&day={BEFORE}"])
def test_a_phone_scrolls_in_one_direction_and_judges_by_touch(signed_in: Open, shot: Shot, fragment: str):
    page = signed_in(fragment, **PHONE)
    opened(page, "Jul 2026")
    assert page.evaluate("document.documentElement.scrollWidth") <= 360
    shot(page, "rides-phone" + "-before" * ("day" in fragment))
    if "day" in fragment:
        row(page, 8).tap()
        page.locator(".judge").get_by_role("button", name="False alarm").tap()
        expect(row(page, 8)).to_contain_text("✗ False alarm planner")
