"""One local cloud with stores in it, one Chromium; a fresh context, an accessibility check and a picture per state."""

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Literal

import pytest
from playwright.sync_api import Browser, Page, Playwright, expect, sync_playwright

from infra.local import cloud as local
from tests.browser.site import Site, filled
from tests.conftest import ROOT

PICTURES = ROOT / "build" / "screenshots"
FLAGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
MOVE = "() => document.getAnimations().forEach((one) => one.finish())"

Wait = Literal["commit", "load"]

PATIENCE = 20_000.0
MEASURED: list[str] = []

Words = tuple[str, str, str]
EN: Words = ("Username", "Password", "Sign in")
DE: Words = ("Benutzername", "Kennwort", "Anmelden")
SETTINGS: dict[str, dict[str, Any]] = {
    "light": {},
    "dark": {"color_scheme": "dark"},
    "phone": {"viewport": {"width": 360, "height": 740}, "has_touch": True, "is_mobile": True},
    "german": {"locale": "de-DE", "words": DE},
}

Open = Callable[..., Page]
Shot = Callable[[Page, str], None]


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print what was measured; machines differ, so these are figures and not tests."""
    for line in MEASURED:
        terminalreporter.write_line(line)


@pytest.fixture(scope="session")
def measured() -> Callable[[str], None]:
    """Note a figure for the end of the run."""
    return MEASURED.append


@pytest.fixture(scope="session")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    home: Path = tmp_path_factory.mktemp("cloud") / "home"
    with local.running(lambda _: None, home=home) as cloud:
        yield filled(cloud)


@pytest.fixture(scope="session")
def playwright() -> Iterator[Playwright]:
    with sync_playwright() as running:
        yield running


@pytest.fixture(scope="session")
def browser(playwright: Playwright) -> Iterator[Browser]:
    program = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if program is None:
        pytest.fail("these tests need Chromium: apt-get install chromium")
    expect.set_options(timeout=PATIENCE)
    running = playwright.chromium.launch(executable_path=program, args=list(FLAGS))
    yield running
    running.close()


@pytest.fixture
def visit(browser: Browser, site: Site) -> Iterator[Open]:
    """Open the page at a fragment, on `today`; afterwards nothing may have gone wrong in it or been kept by it."""
    pages: list[Page] = []
    faults: list[str] = []

    def visit(fragment: str = "", *, url: str = site.url, today: str = "", wait: Wait = "load", **context: Any) -> Page:
        settings = {"viewport": {"width": 1280, "height": 900}, "locale": "en-GB"} | context
        page = browser.new_context(**settings).new_page()
        page.set_default_timeout(PATIENCE)
        page.on("pageerror", lambda error: faults.append(str(error)))
        page.on("console", lambda message: faults.append(message.text) if "Content Security" in message.text else None)
        pages.append(page)
        if today:
            page.clock.set_fixed_time(today)
        page.goto(url + fragment, wait_until=wait)
        return page

    yield visit
    for page in pages:
        kept = page.evaluate("() => JSON.stringify([document.cookie, {...localStorage}, {...sessionStorage}])")
        page.context.close()
        assert kept == '["",{},{}]', "the page keeps nothing outside its memory"
    assert faults == []


@pytest.fixture
def signed_in(visit: Open, site: Site) -> Open:
    """Open the page at a fragment as a planner."""

    def enter(fragment: str = "", words: Words = EN, **context: Any) -> Page:
        page = visit(fragment, **context)
        sign_in(page, site.username, site.password, words)
        page.locator("#main").wait_for()
        return page

    return enter


@pytest.fixture(scope="session")
def shot() -> Shot:
    """Write a picture of a state, once axe has found no serious violation in it."""
    PICTURES.mkdir(parents=True, exist_ok=True)
    axe = (ROOT / "node_modules" / "axe-core" / "axe.min.js").read_text()

    def take(page: Page, name: str) -> None:
        page.evaluate(MOVE)
        page.screenshot(path=PICTURES / f"{name}.png", full_page=True)
        page.evaluate(axe)  # by the debugger, which the content security policy does not bind
        found = page.evaluate("() => axe.run(document, {resultTypes: ['violations']})")["violations"]
        grave = [one for one in found if one["impact"] in ("serious", "critical")]
        assert [(one["id"], [node["html"] for node in one["nodes"]]) for one in grave] == []

    return take


def sign_in(page: Page, username: str, password: str, words: Words = EN) -> None:
    """Fill the sign-in form and send it."""
    user, secret, go = words
    page.get_by_label(user).fill(username)
    page.get_by_label(secret, exact=True).fill(password)
    page.get_by_role("button", name=go).click()


def whole(page: Page) -> None:
    """Nothing is wider than the screen."""
    width = page.evaluate("[document.documentElement.scrollWidth, innerWidth]")
    menu = page.evaluate(
        "(({ scrollWidth, clientWidth }) => [scrollWidth, clientWidth])(document.querySelector('#rooms'))"
    )
    assert menu[0] <= menu[1]
    assert width[0] <= width[1]
