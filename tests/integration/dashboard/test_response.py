"""The page about one response: its items as text, its times, its events and its JSON."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from models.responses.status import ResponseStatus
from tests.factories import output_message
from tests.integration.api.requests import create, parsed, wait_for_end
from tests.integration.conftest import MakeWorker
from tests.integration.dashboard.conftest import SignIn
from tests.integration.dashboard.visitor import Visitor
from tests.integration.desk import Desk
from tests.integration.in_process import InProcessWorker
from worker.maintenance.forecasts import ForecastPublisher

LIST = "/dashboard/responses"
ATTACK = "<script>alert(1)</script><img src=x onerror=alert(2)>"
ESCAPED = "&lt;script&gt;alert(1)&lt;/script&gt;&lt;img src=x onerror=alert(2)&gt;"


def page_of(visitor: Visitor, desk: Desk, *output: dict[str, Any]) -> str:
    """Return the page of a response that has ended with an output."""
    running = desk.running()
    desk.finish(running, output=list(output))
    return visitor.page(f"{LIST}/resp_{running.id.hex}")


@pytest.mark.usefixtures("worker")
def test_it_works(visitor: Visitor) -> None:
    ended = wait_for_end(visitor.http, create(visitor.http, input="Say <b>so</b>.")["id"])

    page = visitor.page(f"{LIST}/{ended['id']}")

    assert "Say &lt;b&gt;so&lt;/b&gt;." in page
    assert ended["output"][0]["content"][0]["text"] in page
    assert '<span class="status completed">' in page
    assert "in-process" in page
    assert "data-live" not in page


def test_a_queued_response_has_its_place(
    visitor: Visitor, desk: Desk, forecasts: ForecastPublisher
) -> None:
    queued = desk.create(not_before=datetime.now(UTC) + timedelta(days=1))
    ahead = desk.create()
    forecasts.publish()

    page = visitor.page(f"{LIST}/resp_{ahead.id.hex}")
    later = visitor.page(f"{LIST}/resp_{queued.id.hex}/summary")

    assert "<dt>Position</dt><dd>1</dd>" in page
    assert "<dt>Not before</dt>" not in page
    assert "<dt>Position</dt><dd>1</dd>" not in later
    assert "<dt>Not before</dt>" in later


def test_a_running_response_is_followed(visitor: Visitor, desk: Desk) -> None:
    running = desk.running()

    page = visitor.page(f"{LIST}/resp_{running.id.hex}")

    assert "data-live" in page
    assert f'data-events="{LIST}/resp_{running.id.hex}/events"' in page
    assert 'data-poll="2"' in page


def test_the_summary_follows_the_status(visitor: Visitor, desk: Desk) -> None:
    running = desk.running()
    path = f"{LIST}/resp_{running.id.hex}/summary"
    assert "in progress" in visitor.page(path)

    desk.fail(running, {"code": "server_error", "message": ATTACK})

    ended = visitor.page(path)
    assert '<span class="status failed">' in ended
    assert ESCAPED in ended
    assert "data-poll" not in ended


@pytest.mark.usefixtures("worker")
def test_events_are_streamed_after_any_of_them(visitor: Visitor) -> None:
    response_id = wait_for_end(visitor.http, create(visitor.http)["id"])["id"]

    all_events = visitor.http.get(f"{LIST}/{response_id}/events").data
    later = visitor.http.get(f"{LIST}/{response_id}/events?starting_after=4").data

    frames = all_events.split(b"\n\n")
    assert frames[0].startswith(b"event: response.created")
    assert later.split(b"\n\n") == frames[5:]
    assert b"obfuscation" not in all_events


@pytest.mark.parametrize("after", ["-1", "x", "1.5", "٣", "99999999999"])
def test_what_is_no_event_is_refused(visitor: Visitor, desk: Desk, after: str) -> None:
    response_id = f"resp_{desk.create().id.hex}"

    answer = visitor.http.get(f"{LIST}/{response_id}/events?starting_after={after}")

    assert answer.status_code == 400
    assert parsed(answer)["error"]["param"] == "starting_after"


def test_the_json_is_that_of_the_api(visitor: Visitor, desk: Desk) -> None:
    response_id = f"resp_{desk.create().id.hex}"

    answer = visitor.http.get(f"{LIST}/{response_id}/json")

    assert answer.mimetype == "application/json"
    assert parsed(answer) == parsed(visitor.http.get(f"/v1/responses/{response_id}"))


def test_a_temporary_response_is_shown(visitor: Visitor, worker: InProcessWorker) -> None:
    created = create(visitor.http, store=False, input="Not kept.")
    worker.wait_idle()
    wait_for_end(visitor.http, created["id"])

    assert "background, not stored" in visitor.page(f"{LIST}/{created['id']}")


ITEMS: dict[str, dict[str, Any]] = {
    "message": {"type": "message", "role": "assistant",
                "content": [{"type": "output_text", "text": ATTACK, "annotations": []}]},
    "refusal": {"type": "message", "role": "assistant",
                "content": [{"type": "refusal", "refusal": ATTACK}]},
    "reasoning": {"type": "reasoning", "summary": [{"type": "summary_text", "text": ATTACK}],
                  "content": [], "encrypted_content": "secret"},
    "call": {"type": "function_call", "name": ATTACK, "arguments": '{"a": 1}', "call_id": "c"},
    "malformed call": {"type": "function_call", "name": "f", "arguments": ATTACK, "call_id": "c"},
    "output": {"type": "function_call_output", "call_id": "c", "output": ATTACK},
    "output of parts": {"type": "function_call_output", "call_id": "c",
                        "output": [{"type": "input_text", "text": ATTACK}]},
    "custom call": {"type": "custom_tool_call", "name": "f", "input": ATTACK, "call_id": "c"},
    "role": {"type": "message", "role": ATTACK, "content": "text"},
    "type": {"type": ATTACK, "text": "x"},
    "status": {"type": "message", "role": "assistant", "status": ATTACK, "content": "text"},
    "file": {"type": "message", "role": "user",
             "content": [{"type": "input_file", "filename": ATTACK}]},
    "image": {"type": "message", "role": "user",
              "content": [{"type": "input_image", "image_url": f"https://x/{ATTACK}"}]},
    "other": {"type": "mcp_call", "name": "f", "server_label": ATTACK},
    "title of a source": {"type": "message", "role": "assistant", "content": [
        {"type": "output_text", "text": "x", "annotations": [
            {"type": "url_citation", "url": "https://example.com/", "title": ATTACK}]}]},
}  # fmt: skip


@pytest.mark.parametrize("item", ITEMS.values(), ids=ITEMS)
def test_what_models_and_clients_write_is_text(
    visitor: Visitor, desk: Desk, item: dict[str, Any]
) -> None:
    page = page_of(visitor, desk, {"id": "x", "status": "completed", **item})

    assert "<script>alert" not in page
    assert "<img" not in page
    assert ESCAPED in page or "alert(1)" in page


def test_only_links_to_the_web_can_be_followed(visitor: Visitor, desk: Desk) -> None:
    urls = ("https://example.com/a", "javascript:alert(1)", "data:text/html,x", "//evil.example")
    message = output_message(desk.create().id)
    message["content"][0]["annotations"] = [
        {"type": "url_citation", "url": url, "title": f"title of {url}"} for url in urls
    ]

    page = page_of(visitor, desk, message)

    links = [link for link in urls if f'href="{link}"' in page]
    assert links == ["https://example.com/a"]
    assert all(url in page for url in urls)
    assert 'rel="noopener noreferrer nofollow"' in page


def test_an_image_is_described_and_not_shown(visitor: Visitor, desk: Desk) -> None:
    part = {"type": "input_image", "image_url": "data:image/png;base64," + "A" * 5000}
    page = page_of(visitor, desk, {"type": "message", "role": "user", "content": [part]})

    assert "data:image/png;base64, 5,022 characters" in page
    assert "A" * 200 not in page


def test_no_response_of_another_project_is_shown(sign_in: SignIn, desk: Desk) -> None:
    theirs = desk.create()
    desk.add_project("mine")
    visitor = sign_in(project_id="mine")

    for more in ("", "/summary", "/json", "/events"):
        assert visitor.open(f"{LIST}/resp_{theirs.id.hex}{more}").status_code == 404


def test_a_slow_response_says_how_long_it_waits(
    visitor: Visitor, desk: Desk, make_worker: MakeWorker
) -> None:
    running = desk.running()
    desk.sql("UPDATE responses SET num_crashes = 2, cancel_requested = true")

    page = visitor.page(f"{LIST}/resp_{running.id.hex}")

    assert "(2 workers lost)" in page
    assert "cancel requested" in page
    assert desk.status(running) is ResponseStatus.IN_PROGRESS
