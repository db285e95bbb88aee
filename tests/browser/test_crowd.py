"""The page where more is asked of the functions at once than the account allows."""

import re

from playwright.sync_api import Page, Route, expect

from infra.settings import DeploySettings
from tests.browser.conftest import Open, Shot, sign_in
from tests.browser.site import Site, crowded

EVERYTHING = "#series=store-0001&set.open=2025-03-04..2025-03-05:0" + "".join(
    f"&similar=store-000{n}" for n in (2, 3, 4, 5, 6)
)


# ms; the calls that are let in first start functions, six at a time on a few cores, and the others ask again meanwhile.
STARTING = 90_000.0


def complete(page: Page, patience: float | None = None) -> None:
    expect(page.get_by_role("heading", name="store-0001")).to_be_visible(timeout=patience)
    expect(page.locator("#plan-result")).to_contain_text("With your changes", timeout=patience)
    expect(page.locator("#readout .overlay-4")).to_be_visible(timeout=patience)
    expect(page.locator("#problem")).to_be_hidden()


def test_planners_who_come_at_once_all_get_their_page_where_more_than_six_calls_are_refused(visit: Open, site: Site):
    with crowded(site, most=6) as (state, url):
        pages = [visit(EVERYTHING, url=url, wait="commit") for _ in range(4)]
        for page in pages:
            page.set_default_timeout(STARTING)
            sign_in(page, site.username, site.password)
        for page in pages:
            complete(page, STARTING)
    assert state.refused > 0


def test_one_page_makes_three_calls_of_the_api_at_once_and_twenty_in_all(visit: Open, site: Site):
    with crowded(site, most=100, seconds=0.1) as (state, url):
        page = visit(EVERYTHING, url=url)
        expect(page.get_by_label("Username")).to_be_visible()
        state.peak, opening = 0, len(state.calls)
        sign_in(page, site.username, site.password)
        complete(page)
        assert opening <= 6
        assert state.peak <= 3
        (least,) = (bound.ge for bound in DeploySettings.model_fields["api_burst"].metadata)
        assert len(state.calls) <= least


def test_the_second_visit_asks_for_the_page_and_its_configuration_only(visit: Open, site: Site):
    with crowded(site, most=100, seconds=0.0) as (state, url):
        page = visit(url=url)
        expect(page.get_by_label("Username")).to_be_visible()
        page.wait_for_load_state("networkidle")
        state.calls.clear()
        page.reload(wait_until="networkidle")
        expect(page.get_by_label("Username")).to_be_visible()
        assert state.calls == ["/", "/static/config.json"]


def test_while_its_script_is_refused_the_page_says_that_it_is_starting(visit: Open, site: Site, shot: Shot):
    page = visit()
    expect(page.get_by_label("Username")).to_be_visible()
    for name in ("app", "style", "icon"):
        page.route(re.compile(f"/static/{name}-"), no_room, times=2)
    page.reload()
    expect(page.get_by_text("The page is starting.")).to_be_visible()
    shot(page, "starting")
    sign_in(page, site.username, site.password)
    expect(page.get_by_role("heading", name="Which store?")).to_be_visible()
    expect(page.get_by_text("The page is starting.")).to_be_hidden()
    expect(page.locator("#main")).to_have_css("display", "grid")


def test_configuration_and_answers_that_are_refused_are_asked_for_again(visit: Open, site: Site):
    page = visit()
    for path in ("/static/config.json", "/history", "/forecast[?]", "/forecasts", "/similar"):
        page.route(re.compile(path), no_room, times=2)
    page.goto(site.url + EVERYTHING)
    page.reload()
    sign_in(page, site.username, site.password)
    complete(page)


def test_a_page_that_was_opened_during_a_deployment_is_loaded_once_more_by_itself(visit: Open, site: Site):
    page = visit()
    old = page.evaluate("() => fetch('/').then((answer) => answer.text())")
    gone = re.sub(r"/static/app-[A-Z0-9]{8}", "/static/app-REPLACED", old)
    assert gone != old
    page.route(site.url, lambda route: route.fulfill(body=gone, content_type="text/html"), times=1)
    page.goto(site.url + "#series=store-0001")
    sign_in(page, site.username, site.password)
    expect(page.get_by_role("heading", name="store-0001")).to_be_visible()


def test_a_page_whose_files_stay_away_is_loaded_no_second_time(visit: Open, site: Site):
    page = visit()
    opened: list[str] = []
    page.on("request", lambda request: opened.append(request.url) if request.is_navigation_request() else None)
    page.route(re.compile("/static/app-"), lambda route: route.fulfill(status=404))
    page.goto(site.url + "?lang=en")
    with page.expect_navigation():
        pass
    expect(page.get_by_text("The page is starting.")).to_be_visible()
    page.wait_for_timeout(3_000)
    assert len(opened) == 2


def no_room(route: Route) -> None:
    route.fulfill(status=500, json={"message": "Internal Server Error"})
