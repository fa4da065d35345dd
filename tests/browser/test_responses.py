"""Pages about responses in a real browser: live, by keyboard, for everyone, and against attacks."""

import json
import re
from typing import Any

import pytest
from playwright.sync_api import expect

from tests.browser.conftest import OpenTab
from tests.browser.tab import Tab

LIST = "/dashboard/responses"
ATTACK = "<script>alert(1)</script><img src=x onerror=alert(2)>\"'><svg onload=alert(3)>"
LOOKS: dict[str, dict[str, Any]] = {
    "light": {"color_scheme": "light"},
    "dark": {"color_scheme": "dark"},
    "narrow": {"viewport": {"width": 360, "height": 740}},
}
EVERY_LOOK = [
    "light",
    *(pytest.param(look, marks=pytest.mark.nightly) for look in ("dark", "narrow")),
]


def test_the_list_is_live_and_stays_where_it_is(tab: Tab) -> None:
    tab.create(metadata={"test": "live"})
    page = tab.open(f"{LIST}?meta=test%3Dlive")
    rows = page.locator("#rows tr")
    expect(rows).to_have_count(1)
    before = page.locator("thead").bounding_box()

    tab.create(metadata={"test": "live"})

    expect(rows).to_have_count(2)
    expect(rows.first.locator(".status")).to_have_text("completed")
    assert page.locator("thead").bounding_box() == before


def test_nothing_is_asked_for_while_the_tab_is_hidden(tab: Tab) -> None:
    page = tab.open(LIST)
    page.evaluate("Object.defineProperty(document, 'hidden', {value: true, configurable: true})")
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))

    page.wait_for_timeout(4_000)
    assert asked == []

    page.evaluate("Object.defineProperty(document, 'hidden', {value: false})")
    with page.expect_request(re.compile("/responses/rows")):
        page.evaluate("document.dispatchEvent(new Event('visibilitychange'))")


def test_output_is_followed_and_a_reload_goes_on_at_the_last_event(tab: Tab) -> None:
    response_id = tab.create(input="Tell me.")
    page = tab.open(f"{LIST}/{response_id}")
    live = page.locator("[data-live-items] pre")
    expect(live).to_contain_text("This answer is")

    with page.expect_request(re.compile(r"/events\?starting_after=\d+")):
        page.reload()

    expect(live).to_contain_text("This answer is scripted: no model")
    output = page.locator("#output .items pre")
    expect(output).to_have_text(re.compile("^This answer is scripted: .* is meant\\.\\s*$"))
    expect(page.locator("#summary .status")).to_have_text("completed")
    expect(page.locator("#actions")).not_to_contain_text("Cancel")


def broken(code: str) -> str:
    """Return a stream that has the first event, and cannot continue."""
    queued = {"type": "response.queued", "sequence_number": 0, "response": {}}
    error = {"type": "error", "sequence_number": 1, "error": {"code": code, "message": "Gone."}}
    return "".join(
        f"event: {each['type']}\ndata: {json.dumps(each)}\n\n" for each in (queued, error)
    )


def test_a_stream_that_cannot_continue_for_now_goes_on_at_the_event_that_is_missing(
    tab: Tab,
) -> None:
    response_id = tab.create(input="Tell me.")
    away = {"content_type": "text/event-stream", "body": broken("service_unavailable")}
    tab.page.route(re.compile("/events$"), lambda route: route.fulfill(**away), times=1)

    with tab.page.expect_request(re.compile(r"/events\?starting_after=0$")):
        page = tab.open(f"{LIST}/{response_id}")

    expect(page.locator("#summary .status")).to_have_text("completed")


def test_a_stream_that_cannot_continue_says_so(tab: Tab) -> None:
    response_id = tab.create(input="Tell me.")
    lost = {"content_type": "text/event-stream", "body": broken("events_lost")}
    tab.page.route(re.compile("/events$"), lambda route: route.fulfill(**lost), times=1)

    page = tab.open(f"{LIST}/{response_id}")

    expect(page.locator("[data-live-text]")).to_have_text("Gone.")


def test_events_and_json_are_shown_on_demand(tab: Tab) -> None:
    page = tab.open(f"{LIST}/{tab.create()}")
    expect(page.locator("#summary .status")).to_have_text("completed")

    page.locator("summary", has_text="Events").click()
    events = page.locator("[data-inspect-list] > li")
    expect(events.last).to_contain_text("response.completed")
    events.first.locator("summary").click()
    expect(events.first.locator("pre")).to_contain_text('"sequence_number": 0')

    page.locator("summary", has_text="JSON").click()
    expect(page.locator("[data-load-target]")).to_contain_text('"object": "response"')


def test_responses_are_cancelled_run_again_and_deleted(tab: Tab) -> None:
    page = tab.open(f"{LIST}/{tab.create(max_output_tokens=1000)}")

    page.get_by_role("button", name="Cancel").click()
    expect(page.locator("#summary .status").first).to_have_text("cancelled")
    page.get_by_role("button", name="Run again").click()
    expect(page.locator("#summary .status")).to_have_text("completed")
    page.locator("summary", has_text="Delete…").click()
    page.get_by_role("button", name="Delete this response").click()

    expect(page).to_have_url(re.compile(LIST + "$"))


def test_the_main_ways_need_no_mouse(tab: Tab) -> None:
    response_id = tab.create(metadata={"test": "keys"})
    page = tab.open(LIST)
    page.keyboard.press("Tab")
    expect(page.locator(":focus")).to_have_text("Skip to the content")

    page.get_by_label("Metadata").focus()
    page.keyboard.type("test=keys")
    page.keyboard.press("Enter")
    expect(page.locator("#rows tr")).to_have_count(1)
    link = page.locator(f"#{response_id}")
    for _ in range(20):
        if link.evaluate("element => element === document.activeElement"):
            break
        page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    expect(page.locator("#response-id")).to_have_text(response_id)

    expect(page.locator("#summary .status")).to_have_text("completed")
    page.locator("summary", has_text="Delete…").focus()
    page.keyboard.press("Enter")
    page.keyboard.press("Tab")
    expect(page.locator(":focus")).to_have_text("Delete this response")
    page.keyboard.press("Enter")
    expect(page).to_have_url(re.compile(LIST + "$"))


def test_focus_survives_a_poll(tab: Tab) -> None:
    response_id = tab.create(metadata={"test": "focus"})
    page = tab.open(f"{LIST}?meta=test%3Dfocus")
    page.locator(f"#{response_id}").focus()

    tab.create(metadata={"test": "focus"})

    expect(page.locator("#rows tr")).to_have_count(2)
    expect(page.locator(f"#{response_id}")).to_be_focused()


def test_what_clients_write_is_text(tab: Tab) -> None:
    response_id = tab.create(
        input=[
            {"role": "user", "content": ATTACK},
            {"type": "function_call", "call_id": "c", "name": "f", "arguments": ATTACK},
            {"type": "function_call_output", "call_id": "c", "output": ATTACK},
        ],
        instructions=ATTACK,
        metadata={ATTACK[:60]: ATTACK},
        tools=[{"type": "function", "name": "f", "description": ATTACK, "parameters": {}}],
    )
    page = tab.open(LIST)
    expect(page.locator(f"#{response_id}")).to_be_visible()
    page.locator(f"#{response_id}").click()
    for name in ("Instructions", "Events", "JSON"):
        page.locator("summary", has_text=name).click()
    expect(page.locator("[data-inspect-list] > li").last).to_contain_text("response.completed")
    for entry in page.locator("[data-inspect-list] > li summary").all()[:3]:
        entry.click()

    expect(page.locator(".item.message pre", has_text=ATTACK)).to_be_visible()
    assert page.locator("img, main svg[onload], main script").count() == 0


@pytest.mark.parametrize("look", EVERY_LOOK)
def test_everyone_can_use_the_pages(open_tab: OpenTab, look: str) -> None:
    tab = open_tab(**LOOKS[look])
    response_id = tab.create(input="Look at me.", metadata={"team": "blue"})
    for path in (LIST, f"{LIST}?status=failed", f"{LIST}/{response_id}", f"{LIST}/resp_none"):
        tab.open(path)
        assert tab.inaccessible() == [], path
        assert not tab.overflows(), path
    tab.faults.clear()  # the console names the page that is not there
