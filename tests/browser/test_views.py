"""Finding a store, reading its forecast, planning, comparing, taking the numbers along."""

import csv
import io
import json
import re
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Locator, Page, Route, expect

from tests.browser.conftest import Open, Shot, sign_in
from tests.browser.site import HOURS, MONTHS, QUARTERS, SIX_DAYS, UNFITTED, WEEKS, YOUNG, Site

STORE = "store-0003"


def opened(page: Page, name: str) -> Page:
    expect(page.get_by_role("heading", name=name)).to_be_visible()
    expect(page.locator("#plot canvas")).to_be_visible()
    expect(page.locator("#similar li").first).to_be_visible()
    expect(page.locator("#status")).to_be_empty()
    return page


def suggestions(page: Page) -> Locator:
    return page.locator("[role=listbox]:visible").get_by_role("option")


def pick(page: Page, label: str, name: str) -> None:
    page.get_by_label(label, exact=True).fill(name)
    suggestions(page).first.click()


def names(page: Page) -> list[str]:
    return page.locator(".overview tbody th").all_text_contents()


def test_without_a_store_it_shows_what_comes_and_sorts_pages_filters_and_opens(signed_in: Open, shot: Shot):
    page = signed_in()
    expect(page.get_by_role("heading", name="Which store?")).to_be_visible()
    first = page.locator(".overview tbody tr").first
    expect(first).to_contain_text(re.compile("^store-000[0-9][+−]?[0-9]+% week from .*[+−]?[0-9]+%.*42 days.*2025"))
    page.get_by_role("heading", name="Which store?").click()
    shot(page, "start")
    page.get_by_role("button", name="Show more").click()
    expect(page.locator(".overview tbody tr")).to_have_count(50)
    assert len(set(names(page))) == 50
    page.get_by_role("button", name="Store", exact=True).click()
    expect(first).to_contain_text("corner-00000")
    expect(page.locator(".overview th[aria-sort]")).to_have_text("Store")
    page.get_by_label("Store", exact=True).press_sequentially("store-000")
    expect(first).to_contain_text("store-0001")
    page.get_by_label("Store", exact=True).press("Escape")
    expect(page.locator(".overview [role=status]")).to_have_text("8 stores shown")
    expect(page.locator(".overview .sum")).to_have_text(
        re.compile("^8 stores together, next 42 days: [0-9,]+, [+−]?[0-9]+% against usual$")
    )
    rows = downloaded(page)
    assert [row["series_id"] for row in rows] == names(page)
    assert sum(float(row["total"]) for row in rows) > 0
    page.locator(".overview").get_by_role("button", name=STORE).click()
    opened(page, STORE)


def test_an_overview_that_cannot_be_read_says_so_and_is_read_again(visit: Open, site: Site, shot: Shot):
    page = visit()
    down = {"title": "x", "status": 500, "detail": "an unexpected condition on our side"}
    page.route(re.compile("/v1/series[?]"), lambda route: route.fulfill(status=500, json=down), times=1)
    sign_in(page, site.username, site.password)
    expect(page.locator("#problem")).to_contain_text("An unexpected condition on our side.")
    shot(page, "overview-failed")
    page.get_by_role("button", name="Try again").click()
    expect(page.locator(".overview tbody tr")).to_have_count(25)
    expect(page.locator("#problem")).to_be_hidden()


@pytest.mark.parametrize(
    ("name", "context"),
    [
        ("overview-dark", {"color_scheme": "dark"}),
        ("overview-phone", {"viewport": {"width": 360, "height": 740}, "has_touch": True, "is_mobile": True}),
    ],
)
def test_the_overview_in_the_dark_and_on_a_phone(signed_in: Open, shot: Shot, name: str, context: dict[str, Any]):
    page = signed_in(**context)
    expect(page.locator(".overview tbody tr")).to_have_count(25)
    page.get_by_role("heading", name="Which store?").click()
    assert page.evaluate("document.documentElement.scrollWidth") <= context.get("viewport", {"width": 1280})["width"]
    shot(page, name)


def test_a_store_is_found_by_typing_and_arrows(signed_in: Open, shot: Shot):
    page = signed_in()
    search = page.get_by_label("Store", exact=True)
    search.press_sequentially("STORE-000")
    expect(suggestions(page).first).to_contain_text("store-0001")
    search.press("ArrowDown")
    search.press("ArrowDown")
    shot(page, "search")
    search.press("Enter")
    opened(page, STORE)
    assert f"series={STORE}" in page.url
    search.fill("no such thing")
    expect(page.get_by_text("No store has “no such thing” in its name.").first).to_be_visible()
    shot(page, "search-nothing")


def test_the_forecast_of_a_store(signed_in: Open, shot: Shot):
    page = opened(signed_in(f"#series={STORE}"), STORE)
    expect(page.locator("#badge")).to_contain_text("baseline")
    expect(page.locator("#trust")).to_contain_text("that it had not seen")
    expect(page.locator("#trust")).to_contain_text("Days within the 95% interval")
    page.locator("#plot").press("ArrowRight")
    expect(page.locator("#why")).to_have_text(
        re.compile(r"^[+−][\d.]+% against the mean of these 42 days:.*Promotion [+−]\d")
    )
    page.locator("#plot").press("Home")
    expect(page.locator("#why")).to_be_empty()
    shot(page, "forecast")


def test_a_simple_rule_that_wins_is_named(signed_in: Open, shot: Shot):
    page = opened(signed_in(f"#series={YOUNG}&level=0.8"), YOUNG)
    expect(page.locator("#badge")).to_have_text("A simple baseline is served")
    expect(page.locator("#trust")).to_contain_text("the rule is served")
    expect(page.locator("#trust li", has_text="Sales: the last observation, of")).to_be_visible()
    shot(page, "baseline")


def test_a_store_without_a_model_is_answered_and_slowness_is_said(signed_in: Open, shot: Shot):
    page = signed_in()
    held: list[Route] = []
    page.route(re.compile("/forecast[?]"), lambda route: held.append(route))
    pick(page, "Store", UNFITTED)
    expect(page.get_by_role("status").filter(has_text="the service is slow")).to_be_visible()
    shot(page, "slow")
    held[0].continue_()
    opened(page, UNFITTED)
    expect(page.locator("#trust")).to_contain_text("It was made when you asked")


def test_zoom_and_level_and_horizon(signed_in: Open):
    page = opened(signed_in(f"#series={STORE}"), STORE)
    before = page.locator("#plot").get_attribute("aria-valuetext")
    page.get_by_label("Days ahead").fill("7")
    page.get_by_label("Days ahead").blur()
    expect(page.get_by_text("Next 7 days")).to_be_visible()
    page.get_by_label("Interval").select_option("0.5")
    expect(page.locator("#trust")).to_contain_text("meant to hold 50% of the days")
    opened(page, STORE)
    assert page.locator("#plot").get_attribute("aria-valuetext") != before
    area = page.locator("#plot .u-over").bounding_box()
    assert area
    page.mouse.move(area["x"] + 100, area["y"] + 80)
    page.mouse.down()
    page.mouse.move(area["x"] + 300, area["y"] + 80, steps=5)
    page.mouse.up()
    page.wait_for_url(re.compile("from=2.*to=2"))
    page.get_by_role("button", name="All").click()
    page.wait_for_url(re.compile("from=2023"))
    page.go_back()
    expect(page.get_by_label("Interval")).to_have_value("0.95")


def test_a_plan_is_painted_and_its_difference_told(signed_in: Open, shot: Shot):
    page = opened(signed_in(f"#series={STORE}"), STORE)
    cells = page.locator("button[data-lane=promo]")
    page.locator("#plan").scroll_into_view_if_needed()
    first, last = cells.nth(11).bounding_box(), cells.nth(15).bounding_box()
    assert first
    assert last
    page.mouse.move(first["x"] + 9, first["y"] + 9)
    page.mouse.down()
    page.mouse.move(last["x"] + 9, last["y"] + 9, steps=12)
    page.mouse.up()
    expect(page.locator("#plan-result")).to_contain_text(re.compile(r"With your changes: [+−]\d"))
    promoted = page.locator("#plan-result").text_content() or ""
    page.locator("button[data-lane=open]").nth(16).click()
    expect(page.locator("#plan-result")).not_to_have_text(re.compile(f"Calculating|{re.escape(promoted)}"))
    expect(page.locator("#readout")).to_contain_text("What if")
    shot(page, "what-if")
    told, address = page.locator("#plan-result").text_content(), page.url
    again = opened(signed_in("#" + address.split("#")[1]), STORE)
    expect(again.locator("#plan-result")).to_have_text(told or "")
    again.get_by_role("button", name="Back to the plan").click()
    expect(again.locator("#readout")).not_to_contain_text("What if")
    assert "set." not in again.url


def test_similar_stores_are_laid_over_on_one_scale(signed_in: Open, shot: Shot):
    page = opened(signed_in(f"#series={STORE}"), STORE)
    for n in range(2):
        page.locator("#similar").get_by_role("checkbox").nth(n).check()
        expect(page.locator("#readout .overlay-" + str(n))).to_be_visible()
    expect(page.locator("#readout")).to_contain_text(" × ")
    page.locator("#plot .u-over").hover(position={"x": 90, "y": 90})
    expect(page.locator("#readout .at")).to_contain_text("2024")
    shot(page, "similar")
    assert page.url.count("similar=") == 2


def test_a_store_that_is_not_listed_takes_the_shape_of_another(signed_in: Open, shot: Shot):
    page = signed_in()
    page.get_by_text("My store is not listed").click()
    page.get_by_role("button", name="Forecast").click()
    expect(page.get_by_text("Choose the store that yours is like.")).to_be_visible()
    pick(page, "Similar to", STORE)
    page.get_by_label("Sales, in % of it").fill("80")
    page.get_by_role("button", name="Forecast").click()
    opened(page, f"New store like {STORE}, at 80% of its sales")
    expect(page.locator("#trust li").last).to_contain_text(f"Sales are those of {STORE} times 0.8")
    shot(page, "unlisted")


def test_the_table_and_the_file_hold_the_numbers_of_the_chart(signed_in: Open, site: Site, shot: Shot):
    page = opened(signed_in(f"#series={STORE}&set.promo=2025-03-05..2025-03-07:1"), STORE)
    page.locator("#similar").get_by_role("checkbox").first.check()
    expect(page.locator("#plan-result")).to_contain_text("With your changes")
    page.get_by_role("button", name="Table").click()
    expect(page.get_by_role("columnheader", name="Difference")).to_be_visible()
    shot(page, "table")
    rows = downloaded(page)
    future = [row for row in rows if row["kind"] == "forecast"]
    token = site.stack.token(site.username, site.password)
    _, _, body = site.stack.request(f"/v1/series/{STORE}/forecast?horizon=42", token=token)
    document = json.loads(body)
    points = document["points"]
    assert [row["ds"] for row in future] == [point["ds"] for point in points]
    for column, name in (("forecast", "yhat"), ("lower", "lower"), ("upper", "upper")):
        assert [float(row[column]) for row in future] == [point[name] for point in points]
    changed = [row["ds"] for row in future if float(row["difference"])]
    assert {"2025-03-05", "2025-03-06", "2025-03-07"} <= set(changed)
    history = [row for row in rows if row["kind"] == "history"]
    assert len(history) == 780 + 12  # the last twelve days were not told, and are bridged
    assert all(bool(row["sales"]) == (i < 780) for i, row in enumerate(history))
    tested = {point["ds"]: point["yhat"] for point in document["holdout"]}
    assert len(tested) == 56
    assert {row["ds"]: float(row["forecast"]) for row in history if row["forecast"]} == tested
    assert page.locator("#table-part tbody tr").count() == 42 + 90


def downloaded(page: Page) -> list[dict[str, str]]:
    with page.expect_download() as download:
        page.get_by_role("button", name="Download CSV").click()
    text = Path(download.value.path()).read_text(encoding="utf-8")
    return list(csv.DictReader(io.StringIO(text, newline="")))


def test_a_store_that_does_not_exist(signed_in: Open, shot: Shot):
    page = signed_in("#series=store-9999")
    expect(page.get_by_role("alert").filter(has_text="There is no store store-9999.")).to_be_visible()
    shot(page, "unknown-store")


def test_a_problem_is_shown_as_a_sentence_and_can_be_tried_again(signed_in: Open, shot: Shot):
    page = signed_in()
    problem = {"type": "urn:trefoil:internal", "title": "Internal Server Error", "status": 500}
    page.route(
        re.compile("/forecast[?]"),
        lambda route: route.fulfill(
            status=500,
            json=problem | {"detail": "an unexpected condition on our side"},
            content_type="application/problem+json",
        ),
        times=1,
    )
    pick(page, "Store", STORE)
    expect(page.get_by_role("alert").filter(has_text="An unexpected condition on our side.")).to_be_visible()
    shot(page, "problem")
    page.get_by_role("button", name="Try again").click()
    opened(page, STORE)


def test_weeks_are_weeks_in_words_plan_and_what_was_forecast_of_those_held_out(signed_in: Open, site: Site, shot: Shot):
    page = signed_in(today="2026-09-10T12:00:00Z")
    token = site.stack.token(site.username, site.password)
    asked = (f"/v1/series/{WEEKS}/{what}" for what in ("forecast", "history"))
    forecast, history = (json.loads(site.stack.request(path, token=token)[2]) for path in asked)
    past = [(point["ds"], point["y"]) for point in history["points"] if point["ds"] >= forecast["backtest"]["start"]]
    held = [{"ds": ds, "yhat": 1.1 * y, "lower": 0.9 * y, "upper": 1.3 * y} for ds, y in past]
    page.route(re.compile("/forecast[?]"), lambda route: route.fulfill(json=forecast | {"holdout": held}))
    pick(page, "Store", WEEKS)
    expect(page.locator("#figures")).to_contain_text("Next 13 weeks")
    expect(page.get_by_label("Weeks ahead")).to_have_value("13")
    expect(page.locator("#trust")).to_contain_text("Weeks within the 95% interval")
    expect(page.locator("#age")).to_contain_text("they end with the week of 22 Jun 2026")
    expect(page.locator("#readout .at")).to_have_text("Week of 29 Jun 2026")
    page.locator("#plot").focus()
    page.keyboard.press("ArrowLeft")
    expect(page.locator("#plot")).to_have_attribute(
        "aria-valuetext", re.compile(f"^Week of 22 Jun 2026, Sales .*, Forecast {1.1 * past[-1][1]:,.0f}$")
    )
    closed = page.locator("button[data-lane=open]")
    expect(closed).to_have_count(13)
    closed.nth(2).click()
    expect(page.locator("#plan-result")).to_contain_text("over 13 weeks")
    assert "set.open=2026-07-13%3A0&" in page.url + "&"
    shot(page, "weeks")


RHYTHMS = {
    HOURS: ("Hour", 168, "Mon, 24 Apr 2023, 00:00", "Tue, 25 Apr 2023, 00:00", 336 + 168),
    MONTHS: ("Month", 12, "February 2031", "May 2031", 48 + 12),
    QUARTERS: ("Quarter", 8, "Q2 2033", "Q2 2034", 24 + 8),
}


@pytest.mark.parametrize("name", RHYTHMS)
def test_periods_are_named_and_counted_as_their_series_does(signed_in: Open, shot: Shot, name: str):
    period, horizon, first, leap, rows = RHYTHMS[name]
    page = signed_in(f"#series={name}")
    expect(page.get_by_role("heading", name=name)).to_be_visible()
    expect(page.locator("#figures")).to_contain_text(f"Next {horizon} {period.lower()}s")
    expect(page.get_by_label(f"{period}s ahead")).to_have_value(str(horizon))
    expect(page.locator("#readout .at")).to_have_text(first)
    page.locator("#plot").press("Shift+ArrowRight")
    expect(page.locator("#plot")).to_have_attribute("aria-valuetext", re.compile(f"^{leap}, High"))
    expect(page.get_by_label(f"Closed, {first}")).to_be_visible()
    shot(page, name)
    page.get_by_role("button", name="Table").click()
    expect(page.locator("#table-part").get_by_role("columnheader", name=period, exact=True)).to_be_visible()
    expect(page.locator("#table-part tbody tr")).to_have_count(rows)
    expect(page.locator("#table-part tr.future th").first).to_have_text(first)


def test_a_horizon_that_was_asked_for_is_not_taken_for_other_periods(signed_in: Open):
    page = signed_in(f"#series={MONTHS}&horizon=6")
    expect(page.get_by_text("Next 6 months")).to_be_visible()
    pick(page, "Store", WEEKS)
    expect(page.get_by_text("Next 13 weeks")).to_be_visible()
    page.get_by_label("Weeks ahead").fill("20")
    page.get_by_label("Weeks ahead").blur()
    expect(page.get_by_text("Next 20 weeks")).to_be_visible()
    page.get_by_label("Weeks ahead").fill("")
    page.get_by_label("Weeks ahead").blur()
    expect(page.get_by_text("Next 13 weeks")).to_be_visible()


def test_a_busy_service_is_asked_again_when_it_says(signed_in: Open):
    page = signed_in()
    busy = {
        "title": "Service Unavailable",
        "status": 503,
        "detail": "storage does not answer for the moment",
        "retry_after": 1,
    }
    page.route(re.compile("/forecast[?]"), lambda route: route.fulfill(status=503, json=busy), times=1)
    pick(page, "Store", STORE)
    opened(page, STORE)


def test_a_side_panel_that_fails_leaves_the_forecast_and_can_be_tried_again(signed_in: Open, shot: Shot):
    page = signed_in()
    detail = "an unexpected condition on our side"
    page.route(
        re.compile("/similar[?]"),
        lambda route: route.fulfill(status=500, json={"title": "x", "status": 500, "detail": detail}),
        times=1,
    )
    pick(page, "Store", STORE)
    expect(page.locator("#similar").get_by_role("alert")).to_have_text("An unexpected condition on our side.")
    expect(page.locator("#plot canvas")).to_be_visible()
    expect(page.locator("#problem")).to_be_hidden()
    shot(page, "panel-failed")
    page.locator("#similar").get_by_role("button", name="Try again").click()
    opened(page, STORE)


def test_a_store_that_cannot_be_laid_over_is_named_and_the_others_are(signed_in: Open, shot: Shot):
    page = signed_in(f"#series={STORE}&similar=store-9999&similar=store-0001")
    opened(page, STORE)
    expect(page.locator("#similar").get_by_role("alert")).to_contain_text("Not laid over: the sales of store-9999")
    expect(page.locator("#readout .overlay-0")).to_be_visible()
    shot(page, "overlay-missing")


def test_a_zoom_of_one_store_is_not_taken_for_the_next(signed_in: Open):
    page = opened(signed_in(f"#series={STORE}"), STORE)
    page.evaluate("() => { document.querySelector('[data-zoom=all]').click(); location.hash = '#series=store-0002'; }")
    opened(page, "store-0002")
    page.wait_for_timeout(500)  # the timer of a zoom is shorter
    assert "from=" not in page.url
    page.get_by_role("button", name="Table").click()
    assert page.locator("#table-part tbody tr").count() == 42 + 90


def test_a_change_of_plan_for_one_store_is_not_taken_for_the_next(signed_in: Open):
    page = opened(signed_in(f"#series={STORE}"), STORE)
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.post_data or "") if "/forecasts" in request.url else None)
    page.evaluate(
        "() => { document.querySelector('button[data-lane=promo]').click();"
        " location.hash = '#series=store-0002&set.open=2025-03-04:0'; }"
    )
    opened(page, "store-0002")
    page.wait_for_timeout(500)
    assert len(asked) == 1
    assert "set.promo" not in page.url


def test_a_name_typed_and_not_picked_is_the_one_that_is_meant(signed_in: Open):
    page = signed_in()
    page.get_by_text("My store is not listed").click()
    pick(page, "Similar to", STORE)
    page.get_by_label("Similar to", exact=True).fill("store-0005")
    page.get_by_role("button", name="Forecast").click()
    opened(page, "New store like store-0005, at 100% of its sales")
    page.get_by_label("Store", exact=True).fill("store-0004")
    page.get_by_label("Days ahead").fill("7")
    page.get_by_label("Days ahead").blur()
    opened(page, "store-0004")
    expect(page.get_by_text("Next 7 days")).to_be_visible()
    page.get_by_label("Store", exact=True).fill("store-00")
    page.get_by_label("Interval").select_option("0.8")
    expect(page.get_by_role("alert").filter(has_text="There is no store store-00.")).to_be_visible()


def test_a_store_that_leaves_closed_days_out_is_drawn_without_zeros(signed_in: Open, shot: Shot):
    page = opened(signed_in(f"#series={SIX_DAYS}"), SIX_DAYS)
    expect(page.locator("#shut")).to_have_text("Closed as a rule and left out of the lines: Sunday.")
    expect(page.locator("#figures")).to_contain_text("on the 42 days before")
    shot(page, "six-days")


def test_without_a_connection_it_says_so(signed_in: Open):
    page = opened(signed_in(f"#series={STORE}"), STORE)
    page.context.set_offline(True)
    page.locator("button[data-lane=promo]").nth(11).click()
    expect(page.locator("#plan-result")).to_have_text(
        "The service cannot be reached. Check the connection and try again."
    )


def test_no_stores_yet(visit: Open, site: Site, shot: Shot):
    page = visit()
    page.route(re.compile("/v1/series[?]"), lambda route: route.fulfill(json={"items": [], "next_cursor": None}))
    sign_in(page, site.username, site.password)
    expect(page.get_by_role("heading", name="No stores yet")).to_be_visible()
    shot(page, "no-stores")


def test_dark(signed_in: Open, shot: Shot):
    page = signed_in(f"#series={STORE}&similar=store-0002&set.promo=2025-03-03..2025-03-05:1", color_scheme="dark")
    expect(page.locator("#plan-result")).to_contain_text("With your changes")
    shot(opened(page, STORE), "dark")


def test_a_narrow_screen_scrolls_in_one_direction(signed_in: Open, shot: Shot):
    page = signed_in(
        f"#series={STORE}&set.promo=2025-03-03..2025-03-05:1",
        viewport={"width": 360, "height": 740},
        has_touch=True,
        is_mobile=True,
    )
    opened(page, STORE)
    expect(page.locator("#plan-result")).to_contain_text("With your changes")
    assert page.evaluate("document.documentElement.scrollWidth") <= 360
    page.locator("button[data-lane=open]").nth(3).tap()
    expect(page.locator("button[data-lane=open]").nth(3)).to_have_class("changed")
    shot(page, "phone")


def test_the_keyboard_is_enough(visit: Open, site: Site, shot: Shot):
    page = visit()
    keys = page.keyboard
    expect(page.get_by_label("Username")).to_be_focused()
    keys.type(site.username)
    keys.press("Tab")
    keys.type(site.password)
    keys.press("Enter")
    expect(page.get_by_label("Store", exact=True)).to_be_focused()
    keys.type(STORE)
    suggestions(page).first.wait_for()
    keys.press("Enter")
    opened(page, STORE)
    until_focused(page, "#plot")
    keys.press("ArrowRight")
    keys.press("Shift+ArrowRight")
    expect(page.locator("#plot")).to_have_attribute(
        "aria-valuetext", re.compile("12 Mar 2025, Forecast|12 Mar 2025, High")
    )
    keys.press("+")
    page.wait_for_url(re.compile("from="))
    until_focused(page, "button[data-lane=promo]")
    for key in ("ArrowRight", "Space", "Shift+ArrowRight", "Shift+ArrowRight"):
        keys.press(key)
    expect(page.locator("button[data-lane=promo].changed")).to_have_count(3)
    expect(page.locator("#plan-result")).to_contain_text("With your changes")
    shot(page, "keyboard")


def until_focused(page: Page, selector: str) -> None:
    for _ in range(40):
        page.keyboard.press("Tab")
        if page.evaluate("(selector) => document.activeElement.matches(selector)", selector):
            return
    raise AssertionError(f"Tab does not reach {selector}")


def test_only_this_host_and_the_user_pool_are_called(visit: Open, site: Site):
    page = visit(f"#series={STORE}")
    called: set[str] = set()
    page.on("request", lambda request: called.add("/".join(request.url.split("/")[:3])))
    page.reload()
    sign_in(page, site.username, site.password)
    opened(page, STORE)
    assert called == {site.url.rstrip("/"), site.stack.endpoint}
