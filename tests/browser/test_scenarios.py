"""Numbers in the plan, and plans with a name side by side."""

import re

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import Open, Shot
from tests.browser.site import THREE_YEARS

PHONE = {"viewport": {"width": 360, "height": 740}, "has_touch": True, "is_mobile": True}


def opened(page: Page) -> Page:
    expect(page.get_by_role("heading", name=THREE_YEARS)).to_be_visible()
    expect(page.locator("#status")).to_be_empty()
    return page


def keep(page: Page, name: str) -> None:
    page.get_by_label("Name of these changes").fill(name)
    page.get_by_role("button", name="Keep as a scenario").click()


def totals(page: Page) -> list[int]:
    texts = page.locator("#scenarios tbody tr td:nth-child(2)").all_text_contents()
    return [int(text.replace(",", "")) for text in texts]


@pytest.mark.parametrize(("name", "context"), [("scenarios", {}), ("scenarios-phone", PHONE)])
def test_prices_are_planned_and_scenarios_compared_opened_and_removed(
    signed_in: Open, shot: Shot, name: str, context: dict[str, object]
):
    page = opened(signed_in(f"#series={THREE_YEARS}", **context))
    brush = page.get_by_label(re.compile("^Price.*paint with"))
    cells = page.locator("button[data-lane=price]")
    for price in ("2", "4"):
        brush.fill(price)
        brush.blur()
        for i in (4, 5, 7):
            cells.nth(i).click()
            expect(cells.nth(i)).to_have_text(price)
        expect(page.locator("#plan-result")).to_contain_text("With your changes")
        keep(page, f"at {price}")
        expect(page.locator("#scenarios tbody tr")).to_have_count({"2": 2, "4": 3}[price])
        shot(page, name)
        if price == "2":
            page.get_by_role("button", name="Back to the plan").click()
            expect(page.locator("#plan-result")).not_to_contain_text("With your changes")
    plan, cheap, dear = totals(page)
    assert cheap > dear
    assert dear < plan
    assert page.evaluate("document.documentElement.scrollWidth") <= page.viewport_size["width"]  # type: ignore[index]
    again = opened(signed_in("#" + page.url.split("#")[1], **context))
    expect(again.locator("#scenarios tbody th")).to_have_text(["As planned", "at 2", "at 4"])
    assert totals(again) == [plan, cheap, dear]
    again.get_by_role("button", name="Open at 2").click()
    expect(again.locator("button[data-lane=price]").nth(4)).to_have_text("2")
    again.get_by_role("button", name="Remove at 4").click()
    expect(again.locator("#scenarios tbody tr")).to_have_count(2)
    assert "at+4" not in again.url
