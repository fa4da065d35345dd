"""The playground in a real browser: requests are checked, run, stopped and shown as programs."""

import re
import subprocess

import pytest
from playwright.sync_api import expect

from tests.browser.conftest import OpenTab
from tests.browser.tab import Tab
from tests.browser.test_responses import ATTACK, EVERY_LOOK, LOOKS

PAGE = "/dashboard/playground"


def test_a_request_is_checked_and_streamed_by_keyboard(tab: Tab) -> None:
    page = tab.open(PAGE)
    page.get_by_label("input", exact=True).focus()
    page.keyboard.type("Tell me.")
    expect(page.locator("#check")).to_have_text(re.compile(r"\d+ input tokens"))

    page.keyboard.press("Control+Enter")

    expect(page.locator("#result pre")).to_contain_text("This answer")
    expect(page.locator("#check")).to_have_text(re.compile(r"completed, \d+ tokens"))
    page.get_by_role("link", name="Open the response").click()
    expect(page.locator("#summary .status")).to_have_text("completed")


def test_what_is_wrong_is_said_beside_its_field(tab: Tab) -> None:
    page = tab.open(PAGE)
    page.fill("#field-input", "Hello.")
    page.fill("#field-tools", "[{")
    expect(page.locator("#field-tools-error")).to_contain_text("This is no JSON")
    page.fill("#field-tools", '[{"type": "function"}]')
    expect(page.locator("#field-tools-error")).to_contain_text("'tools[0].name'")
    expect(page.locator("#field-tools")).to_have_attribute("aria-invalid", "true")

    page.fill("#field-tools", "")
    page.fill("#field-grammar", '{"type": "regex", "value": "("}')
    expect(page.locator("#field-grammar-error")).not_to_be_empty()
    page.fill("#field-grammar", "")
    expect(page.locator("#check")).to_have_text(re.compile("input tokens"))
    expect(page.locator("#field-grammar-error")).to_be_hidden()
    tab.faults.clear()  # the console names the checks that were refused


def test_a_request_in_the_background_without_a_stream_is_linked(tab: Tab) -> None:
    page = tab.open(PAGE)
    page.fill("#field-input", "Hello.")
    page.select_option("#field-background", "true")
    page.uncheck("#stream")
    page.click("#run")

    expect(page.locator("#check")).to_have_text("queued")
    expect(page.locator("#open")).to_have_attribute(
        "href", re.compile("/dashboard/responses/resp_")
    )


def test_a_stream_is_stopped(tab: Tab) -> None:
    page = tab.open(PAGE)
    page.fill("#field-input", "Hello.")
    page.click("#run")
    expect(page.locator("#result pre")).to_contain_text("This")

    page.click("#stop")

    expect(page.locator("#check")).to_have_text("stopped")
    expect(page.locator("#run")).to_be_enabled()


def test_any_response_is_opened_with_other_parameters(tab: Tab) -> None:
    response_id = tab.create(input=ATTACK, temperature=0.25, top_k=3, stop=["x"])
    page = tab.open(f"/dashboard/responses/{response_id}")
    page.get_by_role("link", name="Open in playground").click()

    expect(page.locator("#field-input")).to_have_value(ATTACK)
    expect(page.locator("#field-temperature")).to_have_value("0.25")
    expect(page.locator("#field-top_k")).to_be_visible()
    page.fill("#field-temperature", "0.75")
    page.uncheck("#stream")
    page.click("#run")
    expect(page.locator("#check")).to_have_text("queued")
    page.locator("#open").click()
    page.locator("summary", has_text="JSON").click()
    expect(page.locator("[data-load-target]")).to_contain_text('"temperature": 0.75')


def test_a_request_is_shown_as_programs_send_it(tab: Tab) -> None:
    page = tab.open(PAGE)
    text = 'It\'s "so" $HOME \\ `x`'
    page.fill("#field-input", text)
    page.fill("#field-top_p", "0.5")
    page.locator("summary", has_text="More fields").click()
    page.fill("#field-top_k", "4")
    snippet = page.locator("#snippet")

    for name in ("Python", "Node", "CLI", "curl"):
        page.get_by_role("button", name=name, exact=True).click()
        expect(snippet).to_contain_text(tab.url)
        code = snippet.inner_text()
        assert "0.5" in code
        if name == "Python":
            compile(code, "snippet", "exec")
            assert 'extra_body={\n        "top_k": 4,\n    }' in code
        if name in ("CLI", "curl"):
            subprocess.run(["bash", "-n"], input=code, text=True, check=True)
    shown = subprocess.run(
        ["bash"], input=code.replace("curl ", "printf '%s\\n' "), text=True, capture_output=True
    )
    assert r"\"so\" $HOME \\ `x`" in shown.stdout
    assert "It's" in shown.stdout


@pytest.mark.parametrize("look", EVERY_LOOK)
def test_everyone_can_use_it(open_tab: OpenTab, look: str) -> None:
    tab = open_tab(**LOOKS[look])
    page = tab.open(PAGE)
    page.locator("summary", has_text="More fields").click()
    assert tab.inaccessible() == []
    assert not tab.overflows()
