"""The frame around the rooms: the menu, the address, the language."""

import re

from playwright.sync_api import expect

from tests.browser.conftest import DE, Open, Shot, sign_in
from tests.browser.site import Site

STORE = "#series=store-0003"


def test_the_page_speaks_the_readers_language_and_another_one_by_choice(signed_in: Open, shot: Shot):
    page = signed_in(STORE + "&set.promo=2025-03-05..2025-03-07:1", locale="de-AT", words=DE)
    expect(page.get_by_role("navigation", name="Bereiche").get_by_role("link")).to_have_text(
        ["Prognosen", "Fahrten", "Segmente", "Betrieb"]
    )
    expect(page.locator("#plan-result")).to_contain_text("Mit Ihren Änderungen")
    expect(page.locator("#figures b").first).to_have_text(re.compile(r"^\d{1,3}[. \u00a0]\d{3}$"))
    expect(page.locator("#readout .at")).to_have_text(re.compile("Di., 4. März 2025"))  # others' sales are newer
    ours = page.locator("h2, h3, label, button, summary, dt, th, caption, .hint")  # what the API says stays as it is
    assert [
        text for text in ours.all_text_contents() if re.search(r"\b(the|sales|of|to|it|Forecast)\b", text, re.I)
    ] == []
    shot(page, "german")
    page.get_by_role("button", name="planner").click()
    shot(page, "account")
    page.get_by_label("Sprache").select_option("English")
    expect(page.get_by_role("navigation", name="Rooms").get_by_role("link")).to_have_text(
        ["Forecasts", "Rides", "Segments", "Operation"]
    )
    assert page.url.split("/")[-1].startswith("?lang=en" + STORE)
    expect(page.locator("html")).to_have_attribute("lang", "en")
    expect(page.locator("#plan-result")).to_contain_text("With your changes")
    assert [text for text in ours.all_text_contents() if re.search("Filiale|Absatz|Prognose", text)] == []


def test_a_wrong_password_is_said_in_german(visit: Open, site: Site, shot: Shot):
    page = visit(locale="de-DE")
    sign_in(page, site.username, "not the password", DE)
    expect(page.get_by_role("alert").filter(has_text="Benutzername oder Kennwort ist falsch")).to_be_visible()
    shot(page, "german-sign-in")
