"""The frame around the rooms: the menu, the address, the language."""

from playwright.sync_api import expect

from tests.browser.conftest import Open, Shot

STORE = "#series=store-0003"


def test_the_page_speaks_the_readers_language_and_another_one_by_choice(signed_in: Open, shot: Shot):
    page = signed_in(STORE, locale="de-AT")
    expect(page.get_by_role("navigation", name="Bereiche").get_by_role("link")).to_have_text(["Prognosen"])
    page.get_by_role("button", name="planner").click()
    shot(page, "account")
    page.get_by_label("Sprache").select_option("English")
    expect(page.get_by_role("navigation", name="Rooms").get_by_role("link")).to_have_text(["Forecasts"])
    assert page.url.split("/")[-1].startswith("?lang=en" + STORE)
    expect(page.locator("html")).to_have_attribute("lang", "en")
    expect(page.get_by_role("heading", name="store-0003")).to_be_visible()
