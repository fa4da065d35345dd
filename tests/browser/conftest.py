"""One server and one browser for all tests with a browser; each test has a profile of its own."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser, expect, sync_playwright

from tests.acceptance.server import AntiphonServer, make_in
from tests.browser.chromium import ABSENT, find_chromium
from tests.browser.tab import Tab
from tests.polling import PATIENCE_S

OpenTab = Callable[..., Tab]
STEP_MS = 80
"""Milliseconds that the scripted engine takes for a token: long enough to look at it."""


@pytest.fixture(scope="package")
def browser() -> Iterator[Browser]:
    """Start the browser, which ends with these tests: while it runs, so does a loop of asyncio."""
    path = find_chromium()
    if path is None:
        pytest.skip(ABSENT)
    expect.set_options(timeout=PATIENCE_S * 1000)
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
        yield started
        started.close()


@pytest.fixture(scope="package")
def site(tmp_path_factory: pytest.TempPathFactory, browser: Browser) -> Iterator[AntiphonServer]:
    """Start a server with a scripted engine; without a browser it is not needed."""
    settings = {
        "engine": "scripted",
        "script_interval_ms": str(STEP_MS),
        "api_processes": "1",
        "webhook_networks": "127.0.0.0/8",
    }
    started = make_in(tmp_path_factory.mktemp("site") / "data", None, settings)
    started.start()
    yield started
    started.stop()


@pytest.fixture
def open_tab(browser: Browser, site: AntiphonServer) -> Iterator[OpenTab]:
    """Return a function that opens a tab; at the end, nothing bad has happened in any."""
    tabs: list[Tab] = []

    def opened(**options: Any) -> Tab:
        context = browser.new_context(**options)
        context.set_default_timeout(PATIENCE_S * 1000)
        tabs.append(Tab(context.new_page(), site.url).watch())
        return tabs[-1]

    yield opened
    for tab in tabs:
        violations = tab.violations()
        tab.page.context.close()
        assert (tab.faults, violations) == ([], [])


@pytest.fixture
def tab(open_tab: OpenTab) -> Tab:
    """Return a tab as most people have it."""
    return open_tab()
