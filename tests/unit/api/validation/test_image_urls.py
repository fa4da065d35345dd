"""Fetching of the images of one request: limits of all of them together."""

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler
from ipaddress import ip_network
from typing import Any

import pytest

from api.event_loop.loop import EventLoop
from api.http.body_budget import BodyBudget, handling
from api.validation.image_urls import ImageUrls
from models.errors import InvalidRequestError, OverloadedError, UnavailableError
from models.fetching.destinations import Destinations
from models.fetching.fetcher import Fetcher, FetchLimits
from models.media.images import MAX_IMAGE_BYTES
from tests.pictures import file_of, picture
from tests.polling import PATIENCE_S, eventually
from tests.site import Page, Site

HERE = Destinations([ip_network("127.0.0.0/8")])
FETCHER = Fetcher(HERE, FetchLimits(max_bytes=MAX_IMAGE_BYTES))
FILES = [file_of(picture(seed)) for seed in range(2)]


@pytest.fixture
def loop() -> Iterator[EventLoop]:
    made = EventLoop(num_threads=4)
    yield made
    made.stop()


@pytest.fixture
def site() -> Iterator[Site]:
    with Site() as opened:
        for seed, content in enumerate(FILES):
            opened.pages[f"/{seed}.png"] = Page(content)
        yield opened


def items_of(site: Site, *names: str) -> list[dict[str, Any]]:
    parts = [{"type": "input_image", "image_url": f"{site.url}/{name}"} for name in names]
    return [{"type": "message", "role": "user", "content": parts}]


def is_fetched(items: list[dict[str, Any]]) -> list[bool]:
    return ["fetched_image" in part for part in items[0]["content"]]


def test_it_works(loop: EventLoop, site: Site) -> None:
    items = items_of(site, "0.png", "1.png")

    ImageUrls(loop, FETCHER).fetch(items, owner="p")

    assert is_fetched(items) == [True, True]
    ImageUrls(loop, FETCHER).fetch(items, owner="p")
    assert len(site.visits) == 2


def test_all_images_together_have_a_size(loop: EventLoop, site: Site) -> None:
    together = sum(map(len, FILES))
    fits = items_of(site, "0.png", "1.png")
    ImageUrls(loop, FETCHER, max_total_bytes=together).fetch(fits, owner="p")

    smaller = ImageUrls(loop, FETCHER, max_total_bytes=together - 1)
    with pytest.raises(InvalidRequestError, match=f"at most {together - 1} bytes") as raised:
        smaller.fetch(items_of(site, "0.png", "1.png"), owner="p")

    assert raised.value.param is not None
    assert raised.value.param.startswith("input[0].content[")
    assert raised.value.code == "image_too_large"


def test_all_images_together_have_a_time(loop: EventLoop, site: Site) -> None:
    released = threading.Event()

    def hang(handler: BaseHTTPRequestHandler) -> None:
        released.wait(PATIENCE_S)

    site.pages["/hang"] = hang
    items = items_of(site, "0.png", "hang")
    try:
        with pytest.raises(InvalidRequestError, match=r"more than 0\.3 s") as raised:
            ImageUrls(loop, FETCHER, total_s=0.3).fetch(items, owner="p")
    finally:
        released.set()

    assert raised.value.param == "input[0].content[1].image_url"
    assert raised.value.code == "failed_to_download_image"
    assert is_fetched(items) == [False, False]


def test_bytes_are_taken_from_the_budget_of_the_request(loop: EventLoop, site: Site) -> None:
    budget = BodyBudget(1 << 20)
    items = items_of(site, "0.png", "1.png")
    lease = budget.lease("client")

    with handling(lease):
        ImageUrls(loop, FETCHER).fetch(items, owner="p")

    assert budget.num_bytes == sum(map(len, FILES))
    lease.release()
    assert budget.num_bytes == 0


def test_a_full_budget_refuses_the_request(loop: EventLoop, site: Site) -> None:
    lease = BodyBudget(100).lease("client")

    with handling(lease), pytest.raises(OverloadedError):
        ImageUrls(loop, FETCHER).fetch(items_of(site, "0.png"), owner="p")


def test_a_server_that_stops_says_so(site: Site) -> None:
    loop = EventLoop(num_threads=4)
    released = threading.Event()

    def hang(handler: BaseHTTPRequestHandler) -> None:
        released.wait(PATIENCE_S)

    site.pages["/hang"] = hang
    errors: list[Exception] = []

    def fetch() -> None:
        try:
            ImageUrls(loop, FETCHER).fetch(items_of(site, "hang"), owner="p")
        except UnavailableError as error:
            errors.append(error)

    thread = threading.Thread(target=fetch)
    thread.start()
    eventually(lambda: site.visits)
    loop.stop()
    thread.join(PATIENCE_S)
    released.set()

    assert len(errors) == 1


def test_without_a_fetcher_addresses_are_refused_and_data_urls_are_not(
    loop: EventLoop, site: Site
) -> None:
    items = [{"type": "message", "content": [{"type": "input_image", "image_url": "data:,a"}]}]
    ImageUrls(loop, None).fetch(items, owner="p")

    with pytest.raises(InvalidRequestError, match="data URLs only") as raised:
        ImageUrls(loop, None).fetch(items_of(site, "0.png"), owner="p", field="items")

    assert raised.value.param == "items[0].content[0].image_url"
    assert site.visits == []
