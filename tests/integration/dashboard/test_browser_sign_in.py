"""Signing in with a real browser, on a server that needs a key."""

import re

import pytest
from flask_openapi3.openapi import OpenAPI
from playwright.sync_api import expect, sync_playwright

from models.store.store import Store
from tests.browser.chromium import ABSENT, find_chromium
from tests.browser.tab import Tab
from tests.integration.dashboard.conftest import LOOKS
from tests.integration.http_server import serving
from tests.integration.keys import create_key


def test_a_session_begins_and_ends(app: OpenAPI, key_store: Store) -> None:
    path = find_chromium()
    if path is None:
        pytest.skip(ABSENT)
    token = create_key(key_store, scopes=LOOKS)
    with serving(app) as address, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
        tab = Tab(browser.new_page(), f"http://{address}").watch()
        page = tab.open("/dashboard/responses?status=failed")
        expect(page.locator(":focus")).to_have_attribute("name", "key")
        assert tab.inaccessible() == []

        page.keyboard.type("wrong")
        page.keyboard.press("Enter")
        expect(page.get_by_role("alert")).to_have_text("This is no valid key.")
        page.keyboard.type(token.reveal())
        page.keyboard.press("Enter")

        expect(page).to_have_url(re.compile(r"/dashboard/responses\?status=failed$"))
        expect(page.locator(".role")).to_have_text("read-only")
        assert page.evaluate("document.cookie") == ""
        page.get_by_role("button", name="Sign out").click()
        expect(page.get_by_label("API key")).to_be_visible()
        assert tab.violations() == []
        assert all("401" in fault for fault in tab.faults)
        browser.close()
