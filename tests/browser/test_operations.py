"""Pages about the server in a real browser, and actions on many responses."""

import re

import pytest
from playwright.sync_api import expect

from tests.browser.conftest import OpenTab
from tests.browser.tab import Tab
from tests.browser.test_responses import EVERY_LOOK, LIST, LOOKS
from tests.polling import eventually

PAGES = (
    "/dashboard/admin/workers",
    "/dashboard/admin/graphs",
    "/dashboard/admin/graphs?view=table&span=1h",
    "/dashboard/admin/projects",
    "/dashboard/admin/projects/default",
    "/dashboard/admin/keys",
    "/dashboard/admin/audit",
    "/dashboard/webhooks",
    "/dashboard/bulk/delete?status=failed",
)


@pytest.mark.parametrize("look", EVERY_LOOK)
def test_everyone_can_use_the_pages(open_tab: OpenTab, look: str) -> None:
    tab = open_tab(**LOOKS[look])
    for path in PAGES:
        tab.open(path)
        assert tab.inaccessible() == [], path
        assert not tab.overflows(), path


def test_workers_are_shown_as_they_work(tab: Tab) -> None:
    page = tab.open(PAGES[0])
    running = page.locator("#workers tbody tr").first.locator("td").nth(3)
    expect(running).to_have_text("0")

    for _ in range(3):
        tab.create()

    def is_shown() -> bool:
        page.evaluate("htmx.trigger(document.getElementById('workers'), 'poll')")
        return running.inner_text() != "0"

    eventually(is_shown)


@pytest.mark.nightly
def test_the_graphs_of_a_running_server_have_figures_after_minutes(tab: Tab) -> None:
    page = tab.open("/dashboard/admin/graphs?view=table&span=1h")
    ended = page.locator("#graphs td:nth-child(8)")

    def are_shown() -> bool:
        tab.create()
        page.evaluate("htmx.trigger(document.getElementById('graphs'), 'poll')")
        return any(text != "0" for text in ended.all_inner_texts())

    eventually(are_shown, within_s=200)


def test_a_project_is_made_and_deleted(tab: Tab) -> None:
    page = tab.open("/dashboard/admin/projects")
    page.get_by_label("Id").fill("browser-team")
    page.get_by_label("Name").fill("<b>Team</b>")
    page.get_by_role("button", name="Create").click()
    page.get_by_role("link", name="browser-team").click()
    page.get_by_label("max queued").fill("5")
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_label("max queued")).to_have_value("5")

    page.locator("summary", has_text="Delete…").click()
    page.get_by_role("button", name="Delete this project").click()

    row = page.locator("tr", has_text="browser-team")
    expect(row.locator(".status")).to_have_text(re.compile("deleting|deleted"))


def test_an_endpoint_is_added_by_keyboard_and_deleted(tab: Tab) -> None:
    page = tab.open("/dashboard/webhooks")
    page.get_by_label("URL").focus()
    page.keyboard.type("http://127.0.0.1:9/hook")
    page.keyboard.press("Enter")
    expect(page.locator("#made")).to_contain_text("whsec_")

    page.get_by_role("link", name="http://127.0.0.1:9/hook").click()
    page.locator("summary", has_text="Delete…").click()
    page.get_by_role("button", name="Delete this endpoint").click()

    expect(page.locator("table")).to_contain_text("No endpoint is told yet.")


def test_many_are_deleted_after_a_confirmation(tab: Tab) -> None:
    for _ in range(3):
        tab.create(metadata={"test": "bulk"})
    page = tab.open(f"{LIST}?meta=test%3Dbulk")
    page.get_by_role("link", name="Delete all of these…").click()
    expect(page.locator("h1")).to_have_text("Delete 3 responses?")
    page.get_by_role("button", name="Delete them").click()

    expect(page.locator("#rows")).to_contain_text("No response passes these filters.")
