"""Signing in, out, and again."""

import base64
import re
import time

from cryptography.hazmat.primitives.hashes import SHA1
from cryptography.hazmat.primitives.twofactor.totp import TOTP
from playwright.sync_api import Page, Route, expect

from tests.browser.conftest import Open, Shot, sign_in
from tests.browser.site import Site

STORE = "#series=store-0001"


def test_a_wrong_password_is_said_and_the_username_stays(visit: Open, site: Site, shot: Shot):
    page = visit()
    shot(page, "sign-in")
    sign_in(page, site.username, "not the password")
    expect(page.get_by_role("alert").filter(has_text="username or the password is wrong")).to_be_visible()
    expect(page.get_by_label("Username")).to_have_value(site.username)
    expect(page.locator("#main")).to_be_hidden()
    shot(page, "sign-in-wrong")


def test_a_newcomer_must_choose_a_password(visit: Open, site: Site, shot: Shot):
    site.add_newcomer("newcomer", "Temporary-1!")
    page = visit(STORE)
    sign_in(page, "newcomer", "Temporary-1!")
    expect(page.get_by_role("heading", name="Choose a new password")).to_be_visible()
    page.get_by_label("New password", exact=True).fill("weak")
    page.get_by_label("New password again").fill("other")
    page.get_by_role("button", name="Save and sign in").click()
    expect(page.get_by_text("The two new passwords differ.")).to_be_visible()
    shot(page, "new-password")
    for label in ("New password", "New password again"):
        page.get_by_label(label, exact=True).fill("Lasting-And-Long-2!")
    page.get_by_role("button", name="Save and sign in").click()
    expect(page.get_by_role("heading", name="store-0001")).to_be_visible()


def test_signing_out_forgets_the_view_and_the_refresh_token(signed_in: Open, site: Site):
    page = signed_in(STORE)
    expect(page.get_by_role("heading", name="store-0001")).to_be_visible()
    with page.expect_request(lambda request: "RevokeToken" in request.headers.get("x-amz-target", "")):
        choose(page, "Sign out")
    expect(page.get_by_role("heading", name="Sign in")).to_be_visible()
    assert page.url == site.url


def test_a_token_that_is_refused_is_refreshed_unseen(signed_in: Open):
    page = signed_in(STORE)
    expect(page.get_by_role("heading", name="store-0001")).to_be_visible()
    refuse_once(page)
    page.get_by_label("Days ahead").fill("14")
    page.get_by_label("Days ahead").blur()
    expect(page.get_by_text("Next 14 days")).to_be_visible()
    expect(page.get_by_role("dialog")).to_be_hidden()


def test_an_ended_session_asks_again_and_loses_nothing(signed_in: Open, site: Site, shot: Shot):
    page = signed_in(STORE)
    expect(page.get_by_role("heading", name="store-0001")).to_be_visible()
    page.get_by_text("My store is not listed").click()
    page.get_by_label("Sales, in % of it").fill("73")
    expect(page.locator("#status")).to_be_empty()
    page.wait_for_timeout(1_100)  # tokens are dated in whole seconds: one of this second would survive
    end_session(page, site)
    refuse_once(page)
    page.get_by_label("Days ahead").fill("14")
    page.get_by_label("Days ahead").blur()
    expect(page.get_by_text("Your session has ended")).to_be_visible()
    expect(page.get_by_label("Username")).to_have_value(site.username)
    shot(page, "session-ended")
    page.keyboard.press("Escape")
    page.keyboard.press("Escape")
    page.get_by_label("Password", exact=True).fill(site.password)
    page.get_by_role("button", name="Sign in").click()
    expect(page.get_by_text("Next 14 days")).to_be_visible()
    expect(page.get_by_label("Days ahead")).to_have_value("14")
    expect(page.get_by_label("Sales, in % of it")).to_be_visible()
    expect(page.get_by_label("Sales, in % of it")).to_have_value("73")
    assert "horizon=14" in page.url


def test_an_authenticator_app_is_added_and_its_code_asked_for(visit: Open, site: Site, shot: Shot):
    site.add_planner("careful", "Lasting-And-Long-3!")
    page = visit()
    sign_in(page, "careful", "Lasting-And-Long-3!")
    choose(page, "Authenticator app")
    secret = page.locator("#authenticator-secret code")
    expect(secret).to_be_visible()
    key = (secret.text_content() or "").replace(" ", "")
    link = page.get_by_role("link", name="open it in an app on this device").get_attribute("href")
    assert link == f"otpauth://totp/Trefoil%3Acareful?secret={key}&issuer=Trefoil"
    shot(page, "authenticator")
    page.get_by_label("Code that the app shows").fill("000000")
    page.get_by_role("button", name="Add it").click()
    expect(page.get_by_text("That is not the code of this moment.")).to_be_visible()
    page.get_by_label("Code that the app shows").fill(code_of(key))
    page.get_by_role("button", name="Add it").click()
    expect(page.get_by_text("Done: from now on, signing in asks for a code of the app.")).to_be_visible()
    page.get_by_role("button", name="Close").click()
    choose(page, "Sign out")
    sign_in(page, "careful", "Lasting-And-Long-3!")
    expect(page.get_by_role("heading", name="Enter the code")).to_be_visible()
    expect(page.get_by_label("Code", exact=True)).to_be_focused()
    page.get_by_label("Code", exact=True).fill("000 000")
    page.get_by_role("button", name="Sign in").click()
    expect(page.get_by_text("That is not the code of this moment.")).to_be_visible()
    shot(page, "code")
    page.get_by_label("Code", exact=True).fill(code_of(key))
    page.get_by_role("button", name="Sign in").click()
    expect(page.get_by_role("heading", name="Which store?")).to_be_visible()


def test_who_must_have_an_authenticator_app_adds_it_at_the_first_sign_in(visit: Open, site: Site, shot: Shot):
    page = visit()
    page.route(lambda url: url.startswith(str(site.stack.endpoint)), ask_for_an_app)
    sign_in(page, site.username, site.password)
    expect(page.get_by_role("heading", name="Add an authenticator app")).to_be_visible()
    key = (page.locator("#secret code").text_content() or "").replace(" ", "")
    shot(page, "authenticator-required")
    page.get_by_label("Code", exact=True).fill(code_of(key))
    page.get_by_role("button", name="Sign in").click()
    expect(page.get_by_role("heading", name="Which store?")).to_be_visible()


def choose(page: Page, name: str) -> None:
    """Of the menu that bears the user's name."""
    page.locator("#user").click()
    page.get_by_role("button", name=name).click()


def ask_for_an_app(route: Route) -> None:
    """Answer a password as a pool does whose administrator made the app a duty; the emulator lets such users in."""
    if not route.request.headers.get("x-amz-target", "").endswith(".InitiateAuth"):
        route.fallback()
        return
    challenge = {"ChallengeName": "MFA_SETUP", "Session": "a session", "ChallengeParameters": {}}
    route.fulfill(json=challenge, headers={"Access-Control-Allow-Origin": "*"})


def code_of(key: str) -> str:
    """What an authenticator app with this key shows now."""
    app = TOTP(base64.b32decode(key), 6, SHA1(), 30, enforce_key_length=False)
    return app.generate(int(time.time())).decode()


def refuse_once(page: Page) -> None:
    """Answer the next call of the API as the gateway does when a token has expired."""
    page.route(re.compile("/v1/"), refused, times=1)


def refused(route: Route) -> None:
    route.fulfill(status=401, json={"message": "Unauthorized"})


def end_session(page: Page, site: Site) -> None:
    """The user pool forgets the page's refresh token, as it does after its lifetime."""
    users = site.stack.client("cognito-idp")
    users.admin_user_global_sign_out(UserPoolId=site.stack.outputs["UserPool"], Username=site.username)
