"""Images at addresses in requests: fetched from a real site, and seen as they were then."""

import threading
from collections.abc import Iterator
from contextlib import ExitStack, closing
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import orjson
import pytest
from flask.testing import FlaskClient
from flask_openapi3.openapi import OpenAPI
from simple_websocket import Client

from api.validation import image_urls
from models.media.images import MAX_IMAGE_BYTES, MAX_IMAGES
from models.settings import Settings
from tests.integration.api.requests import parsed
from tests.integration.conftest import MakeWorker, RunSql, running_app
from tests.integration.http_server import serving
from tests.pictures import file_of, picture, picture_url
from tests.polling import PATIENCE_S, eventually
from tests.site import Page, Site
from tests.tiny_vision import write_vision_model
from tests.unit.models.tiny_tokenizer import tiny_tokenizer

_TEXT = {"type": "input_text", "text": "What is this?"}
_INCLUDE = {"include[]": "message.input_image.image_url"}


@pytest.fixture(scope="module")
def vision_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_vision_model(tmp_path_factory.mktemp("tiny-vision"), tiny_tokenizer(), "llava")


@pytest.fixture
def settings(settings: Settings, vision_folder: Path) -> Settings:
    networks = Settings(image_networks="127.0.0.0/8").image_networks
    return settings.model_copy(
        update={
            "engine": "transformers",
            "model": str(vision_folder),
            "kv_cache_gib": 0.01,
            "image_urls": True,
            "image_networks": networks,
            "api_threads": 4,
        }
    )


@pytest.fixture
def site() -> Iterator[Site]:
    """Return a site with a picture at /0.png and other ones at /1.png and /2.png."""
    with Site() as opened:
        for seed in range(3):
            opened.pages[f"/{seed}.png"] = Page(file_of(picture(seed)))
        yield opened


def message(*urls: str) -> dict[str, Any]:
    images = [{"type": "input_image", "image_url": url} for url in urls]
    return {"type": "message", "role": "user", "content": [_TEXT, *images]}


def body_of(*urls: str, **fields: Any) -> dict[str, Any]:
    body = {"input": [message(*urls)], "temperature": 0, "max_output_tokens": 8}
    return body | {"ignore_eos": True} | fields


def ask(http: FlaskClient, *urls: str, **fields: Any) -> Any:
    answer = http.post("/v1/responses", json=body_of(*urls, **fields))
    assert answer.status_code == 200, answer.json
    return answer.json


def error_of(http: FlaskClient, *urls: str, **fields: Any) -> Any:
    answer = http.post("/v1/responses", json=body_of(*urls, background=True, **fields))
    assert answer.status_code == 400, answer.json
    return parsed(answer)["error"]


def text_of(response: Any) -> str:
    return "".join(part["text"] for item in response["output"] for part in item["content"])


def test_an_image_at_an_address_is_seen_as_its_file_would_be(
    http: FlaskClient, make_worker: MakeWorker, site: Site
) -> None:
    make_worker()
    by_file = [text_of(ask(http, picture_url(seed))) for seed in range(3)]
    assert len(set(by_file)) > 1

    by_address = [ask(http, f"{site.url}/{seed}.png") for seed in range(3)]
    unstored = ask(http, f"{site.url}/1.png", store=False)

    assert [text_of(answer) for answer in by_address] == by_file
    assert text_of(unstored) == by_file[1]
    assert [visit.path for visit in site.visits] == ["/0.png", "/1.png", "/2.png", "/1.png"]
    assert site.visits[0].headers["accept"] == "image/*"


def test_the_response_and_the_next_turn_see_what_was_there_when_it_was_accepted(
    http: FlaskClient, make_worker: MakeWorker, site: Site
) -> None:
    queued = ask(http, f"{site.url}/0.png", background=True)
    site.pages["/0.png"] = Page(file_of(picture(1)))
    worker = make_worker()
    worker.run_queued()
    answer = eventually(lambda: _ended(http, queued["id"]))
    next_turn = {"previous_response_id": queued["id"], "input": "And its colour?"}
    assert http.post("/v1/responses", json={**next_turn, "max_output_tokens": 4}).status_code == 200

    assert len(site.visits) == 1
    assert text_of(answer) == text_of(ask(http, picture_url(0)))


def _ended(http: FlaskClient, response_id: str) -> Any:
    response = parsed(http.get(f"/v1/responses/{response_id}"))
    return response if response["status"] in ("completed", "incomplete") else None


def test_clients_read_what_they_sent(http: FlaskClient, site: Site) -> None:
    url = f"{site.url}/0.png"
    response = ask(http, url, background=True)
    path = f"/v1/responses/{response['id']}/input_items"

    [hidden] = parsed(http.get(path))["data"]
    [shown] = parsed(http.get(path, query_string=_INCLUDE))["data"]

    image = {"type": "input_image", "detail": "auto"}
    assert hidden["content"] == [_TEXT, {**image, "image_url": None}]
    assert shown["content"] == [_TEXT, {**image, "image_url": url}]


def test_outputs_of_functions_have_images_at_addresses_too(http: FlaskClient, site: Site) -> None:
    call = {"type": "function_call", "call_id": "c", "name": "look", "arguments": "{}"}
    image = {"type": "input_image", "image_url": f"{site.url}/0.png"}
    output = {"type": "function_call_output", "call_id": "c", "output": [image]}
    response = ask(http, background=True, input=[message(), call, output])

    items = parsed(http.get(f"/v1/responses/{response['id']}/input_items"))["data"]

    assert items[0]["output"] == [{**image, "detail": "auto"}]
    assert len(site.visits) == 1


def test_tokens_are_counted_as_those_of_the_file(http: FlaskClient, site: Site) -> None:
    counts = [
        parsed(http.post("/v1/responses/input_tokens", json={"input": [message(url)]}))
        for url in (f"{site.url}/0.png", picture_url(0))
    ]

    assert counts[0] == counts[1]
    assert counts[0]["input_tokens"] > 10


def test_chats_have_images_at_addresses(
    http: FlaskClient, make_worker: MakeWorker, site: Site
) -> None:
    make_worker()
    answers = [
        parsed(http.post("/v1/chat/completions", json=_chat(url)))
        for url in (f"{site.url}/0.png", picture_url(0))
    ]

    texts = [answer["choices"][0]["message"]["content"] for answer in answers]
    assert texts[0] == texts[1]


def _chat(url: str) -> dict[str, Any]:
    image = {"type": "image_url", "image_url": {"url": url}}
    content = [{"type": "text", "text": "What is this?"}, image]
    messages = [{"role": "user", "content": content}]
    return {"messages": messages, "temperature": 0, "max_tokens": 8, "model": "default"}


def test_an_error_of_a_chat_names_its_field(http: FlaskClient, site: Site) -> None:
    answer = http.post("/v1/chat/completions", json=_chat(f"{site.url}/none.png"))

    error = parsed(answer)["error"]
    assert answer.status_code == 400
    assert error["param"] == "messages[0].content[1].image_url.url"
    assert "the answer has the status 404" in error["message"]


def test_items_of_conversations_keep_their_images(
    http: FlaskClient, make_worker: MakeWorker, site: Site
) -> None:
    make_worker()
    item = message(f"{site.url}/0.png")
    conversation = parsed(http.post("/v1/conversations", json={"items": [item]}))
    added = http.post(f"/v1/conversations/{conversation['id']}/items", json={"items": [item]})
    site.pages.clear()

    listed = parsed(http.get(f"/v1/conversations/{conversation['id']}/items"))["data"]
    answer = ask(http, conversation=conversation["id"], input="And now?")

    assert added.status_code == 200
    for page in (listed, parsed(added)["data"]):
        assert all("fetched_image" not in part for shown in page for part in shown["content"])
    assert answer["usage"]["input_tokens"] > 20


def test_an_item_of_a_conversation_whose_image_cannot_be_fetched_is_refused(
    http: FlaskClient, site: Site
) -> None:
    answer = http.post("/v1/conversations", json={"items": [message(f"{site.url}/none.png")]})

    assert answer.status_code == 400
    assert parsed(answer)["error"]["param"] == "items[0].content[1].image_url"


def test_items_of_a_conversation_have_a_number_of_images_to_fetch(
    http: FlaskClient, site: Site
) -> None:
    items = [message(*[f"{site.url}/0.png"] * (MAX_IMAGES // 2))] * 2 + [message(site.url)]

    answer = http.post("/v1/conversations", json={"items": items})

    assert answer.status_code == 400
    assert parsed(answer)["error"]["param"] == "items[2].content[1].image_url"
    assert site.visits == []


def test_a_reference_to_an_item_brings_its_image_along(
    http: FlaskClient, site: Site, sql: RunSql
) -> None:
    first = ask(http, f"{site.url}/0.png", background=True)
    [item] = parsed(http.get(f"/v1/responses/{first['id']}/input_items"))["data"]
    site.pages.clear()

    ask(http, input=[{"type": "item_reference", "id": item["id"]}], background=True)

    assert len(site.visits) == 1


def test_a_websocket_fetches_images(app: OpenAPI, make_worker: MakeWorker, site: Site) -> None:
    make_worker()
    request = {"type": "response.create", **body_of(f"{site.url}/0.png")}
    with (
        serving(app) as address,
        closing(Client.connect(f"ws://{address}/v1/responses")) as websocket,
    ):
        websocket.send(orjson.dumps(request).decode())
        event = orjson.loads(str(websocket.receive(timeout=PATIENCE_S)))

    assert event["type"] == "response.created", event


def test_one_address_is_fetched_once_for_a_request(http: FlaskClient, site: Site) -> None:
    ask(http, *[f"{site.url}/0.png"] * 3, f"{site.url}/1.png", background=True)

    assert sorted(visit.path for visit in site.visits) == ["/0.png", "/1.png"]


def test_a_repeated_request_fetches_nothing_again(http: FlaskClient, site: Site) -> None:
    body = body_of(f"{site.url}/0.png", background=True)
    ids = {
        parsed(http.post("/v1/responses", json=body, headers={"Idempotency-Key": "a"}))["id"]
        for _ in range(2)
    }

    assert len(ids) == 1
    assert len(site.visits) == 1


def test_nobody_can_send_the_file_of_an_address(http: FlaskClient, site: Site) -> None:
    forged = message(f"{site.url}/0.png")
    forged["content"][1]["fetched_image"] = picture_url(0)

    answer = http.post("/v1/responses", json=body_of(input=[forged]))

    assert answer.status_code == 400
    assert "fetched_image" in parsed(answer)["error"]["param"]


@pytest.mark.parametrize(
    ("url", "code", "reason"),
    [
        ("{site}/none.png", "failed_to_download_image", "the answer has the status 404"),
        ("http://127.0.0.1:1/a.png", "failed_to_download_image", "no connection"),
        ("http://none.invalid/a.png", "failed_to_download_image", "does not resolve"),
        ("https://10.0.0.1/a.png", "invalid_image_url", "not open to the internet"),
        ("https://[64:ff9b::a00:1]/a.png", "invalid_image_url", "not open to the internet"),
        ("http://8.8.8.8/a.png", "invalid_image_url", "must begin with https://"),
        ("https://user@127.0.0.1/a.png", "invalid_image_url", "no user name"),
        ("{site}/inside", "invalid_image_url", "redirects to a URL that is refused"),
        ("{site}/text", "invalid_image", "cannot be read as PNG, JPEG, WebP or GIF"),
        ("{site}/large", "image_too_large", "larger than 10485760 bytes"),
        ("{site}/wide.png", "image_too_large", "20000 x 10 pixels"),
        ("{site}/br", "failed_to_download_image", "content coding"),
    ],
)
def test_an_image_that_cannot_be_had_is_refused_with_the_reason(
    http: FlaskClient, site: Site, sql: RunSql, url: str, code: str, reason: str
) -> None:
    site.redirect("/inside", "http://10.0.0.1/a.png")
    site.pages["/text"] = Page(b"<html>", headers={"content-type": "image/png"})
    site.pages["/large"] = Page(headers={"content-length": str(MAX_IMAGE_BYTES + 1)})
    site.pages["/wide.png"] = Page(file_of(picture(0, 20_000, 10)))
    site.pages["/br"] = Page(b"a", headers={"content-encoding": "br"})

    error = error_of(http, f"{site.url}/0.png", url.format(site=site.url))

    assert error["param"] == "input[0].content[2].image_url"
    assert error["code"] == code
    assert reason in error["message"]
    assert "10.0.0.1" not in error["message"]
    assert sql("SELECT count(*) FROM responses") == [(0,)]


def test_a_file_that_is_cut_off_is_refused(http: FlaskClient, site: Site) -> None:
    site.pages["/cut.png"] = Page(file_of(picture(0))[:-100])

    error = error_of(http, f"{site.url}/cut.png")

    assert error["code"] == "invalid_image"
    assert error["param"] == "input[0].content[1]"


def test_too_many_images_are_refused_before_any_is_fetched(http: FlaskClient, site: Site) -> None:
    error = error_of(http, *[f"{site.url}/0.png"] * (MAX_IMAGES + 1))

    assert str(MAX_IMAGES) in error["message"]
    assert site.visits == []


class Hanging:
    """Page that does not come until it is released, and notes clients that left before."""

    def __init__(self) -> None:
        self.released = threading.Event()
        self.has_lost = threading.Event()

    def __call__(self, handler: BaseHTTPRequestHandler) -> None:
        handler.connection.settimeout(0.05)
        while not self.released.is_set():
            try:
                if handler.connection.recv(1) == b"":
                    self.has_lost.set()
                    return
            except TimeoutError:
                continue


@pytest.fixture
def hanging(site: Site) -> Iterator[Hanging]:
    page = Hanging()
    site.pages["/hang"] = page
    yield page
    page.released.set()


def test_slow_hosts_hold_nobody_up_and_have_a_number(
    app: OpenAPI, site: Site, hanging: Hanging
) -> None:
    body = orjson.dumps(body_of(f"{site.url}/hang", background=True))
    headers = {"Content-Type": "application/json"}
    share = image_urls.MAX_FETCHING // 2
    with serving(app) as address, ExitStack() as stack:
        waiting = [
            stack.enter_context(closing(HTTPConnection(address, timeout=PATIENCE_S)))
            for _ in range(share)
        ]
        for connection in waiting:
            connection.request("POST", "/v1/responses", body, headers)
        eventually(lambda: len(site.visits) == share)

        with closing(HTTPConnection(address, timeout=PATIENCE_S)) as other:
            other.request("POST", "/v1/responses", body, headers)
            refused = other.getresponse()
            assert refused.status == 429
            assert orjson.loads(refused.read())["error"]["code"] == "too_many_fetches"
            plain = orjson.dumps({"input": "Hi.", "background": True})
            other.request("POST", "/v1/responses", plain, headers)
            assert other.getresponse().status == 200

        hanging.released.set()
        assert {connection.getresponse().status for connection in waiting} == {400}


def test_a_client_that_leaves_ends_the_fetch(app: OpenAPI, site: Site, hanging: Hanging) -> None:
    body = orjson.dumps(body_of(f"{site.url}/hang", background=True))
    with serving(app) as address:
        with closing(HTTPConnection(address, timeout=PATIENCE_S)) as connection:
            headers = {"Content-Type": "application/json"}
            connection.request("POST", "/v1/responses", body, headers)
            eventually(lambda: site.visits)

        assert hanging.has_lost.wait(PATIENCE_S)


def test_addresses_are_refused_by_name_unless_they_are_allowed(
    settings: Settings, site: Site
) -> None:
    closed = settings.model_copy(update={"image_urls": False})
    with running_app(closed) as app:
        http = app.test_client()
        error = error_of(http, f"{site.url}/0.png")
        item = http.post("/v1/conversations", json={"items": [message(f"{site.url}/0.png")]})

    assert error["code"] == "unsupported_value"
    assert error["param"] == "input[0].content[1].image_url"
    assert "ANTIPHON_IMAGE_URLS" in error["message"]
    assert item.status_code == 400
    assert site.visits == []


def test_a_project_without_the_permission_is_refused(
    http: FlaskClient, site: Site, sql: RunSql
) -> None:
    sql("UPDATE projects SET permissions = '{\"image_urls\": false}'")

    answer = http.post("/v1/responses", json=body_of(f"{site.url}/0.png", background=True))

    assert answer.status_code == 403
    error = parsed(answer)["error"]
    assert error["code"] == "insufficient_permissions"
    assert error["param"] == "input[0].content[1].image_url"
    assert site.visits == []
