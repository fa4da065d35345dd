"""Pictures of the dashboard for docs/images: `python -m tests.browser.screenshots`.

A server with the default weights answers what it is asked, so that there is something to show; only
the day of the graphs is made up.
"""

import re
import shlex
import tempfile
from pathlib import Path
from typing import Any

import psycopg
from openai import OpenAI
from playwright.sync_api import Page, expect, sync_playwright

from tests.acceptance.server import ROOT, AntiphonServer, make_in
from tests.browser.chromium import ABSENT, find_chromium
from tests.browser.drawn_day import write_day
from tests.polling import eventually

_IMAGES = ROOT / "docs/images"
_WIDE, _NARROW = {"width": 1280, "height": 800}, {"width": 360, "height": 740}
_QUESTIONS = (
    "What is the capital of France?",
    "Name three rivers.",
    "Write a haiku about autumn.",
    "Why is the sky blue?",
    "Explain recursion to a child.",
    "Which planet is the largest?",
)
_TEAMS = ("blue", "green", "red")
_ENDED = ("completed", "incomplete", "failed", "cancelled")


def main() -> None:
    """Start a server, fill it, and take the pictures."""
    path = find_chromium()
    assert path is not None, ABSENT
    _IMAGES.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        server = make_in(Path(folder) / "data", ROOT / ".antiphon/weights", {"api_processes": "1"})
        browser = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
        try:
            server.start()
            _fill_graphs(server)
            _take_all(browser.new_page, server, _fill(server.client()))
        finally:
            browser.close()
            server.stop()


def _fill(client: OpenAI) -> str:
    """Create responses; return the id of one that has ended."""
    made = [
        client.responses.create(
            model="default",
            input=question,
            background=True,
            max_output_tokens=60,
            temperature=0,
            metadata={"team": _TEAMS[number % 3], "run": f"nightly-{number + 1}"},
        )
        for number, question in enumerate(_QUESTIONS)
    ]
    client.responses.cancel(made[-1].id)
    eventually(
        lambda: all(client.responses.retrieve(each.id).status in _ENDED for each in made),
        within_s=120,
    )
    for question in _QUESTIONS[1:3]:
        client.responses.create(
            model="default", input=question, background=True, max_output_tokens=400
        )
    return made[0].id


def _fill_graphs(server: AntiphonServer) -> None:
    words = shlex.split((server.data_dir / "run" / "env").read_text())
    address = dict(word.split("=", 1) for word in words)["DATABASE_ADMIN_URL"]
    with psycopg.connect(address, autocommit=True) as connection:
        write_day(connection.execute, "default")


def _take_all(new_page: Any, server: AntiphonServer, response_id: str) -> None:
    looks = {"light": ("light", _WIDE), "dark": ("dark", _WIDE), "narrow": ("light", _NARROW)}
    for look, (scheme, size) in looks.items():
        page = new_page(viewport=size, color_scheme=scheme, base_url=server.url)
        for name, path in {
            "responses": "/dashboard/responses",
            "response": f"/dashboard/responses/{response_id}",
            "playground": f"/dashboard/playground?from={response_id}",
            "graphs": "/dashboard/admin/graphs",
        }.items():
            page.goto(path)
            if name == "playground":
                _run(page)
            page.evaluate("scrollTo(0, 0)")
            page.wait_for_load_state("networkidle")
            page.screenshot(path=_IMAGES / f"{name}-{look}.png")
        page.close()


def _run(page: Page) -> None:
    page.click("#run")
    expect(page.locator("#check")).to_have_text(
        re.compile("^(completed|incomplete|queued)"), timeout=30_000
    )


if __name__ == "__main__":
    main()
