"""Tabs of the dashboard that nobody closes: each asks for what has changed, as its page says."""

import http.client
import re
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from html import unescape

from bench.client.load import Address
from bench.server import BenchError

PAGES = (
    "/dashboard/responses",
    "/dashboard/responses",
    "/dashboard/admin/workers",
    "/dashboard/admin/graphs",
)
"""Pages that the tabs have open, in turn."""
_POLL = re.compile(r'data-poll="(\d+)" hx-get="([^"]+)"')
_PAGE = {"Accept": "text/html"}
_PART = {"Accept": "text/html", "HX-Request": "true"}
_UNCHANGED = 204


class Tab:
    """One tab, on a connection of its own."""

    def __init__(self, address: Address, page: str, began: float) -> None:
        """Open the page; its first poll comes as long after `began` as its page says."""
        self._connection = http.client.HTTPConnection(*address)
        self._path = page
        self.interval_s = 0.0
        """Seconds between two polls, as the page says."""
        self.num_polls = 0
        self._get(_PAGE)
        self.due_at = began + self.interval_s

    def poll(self) -> None:
        """Ask once for what has changed."""
        self._get(_PART)
        self.due_at += self.interval_s
        self.num_polls += 1

    def close(self) -> None:
        """Close the tab."""
        self._connection.close()

    def _get(self, headers: dict[str, str]) -> None:
        self._connection.request("GET", self._path, headers=headers)
        answer = self._connection.getresponse()
        text = answer.read().decode()
        if answer.status == _UNCHANGED:
            return
        found = _POLL.search(text)
        if answer.status != http.client.OK or found is None:
            raise BenchError(f"{self._path}: {answer.status}")
        self.interval_s, self._path = float(found[1]), unescape(found[2])


@contextmanager
def open_tabs(address: Address, num: int) -> Iterator[list[Tab]]:
    """Keep tabs open while the context lasts; they were opened one after the other."""
    began = time.monotonic()
    tabs = [
        Tab(address, PAGES[number % len(PAGES)], began - 3.0 * number / num)
        for number in range(num)
    ]
    stopping, failures = threading.Event(), list[BaseException]()
    thread = threading.Thread(target=_poll, args=(tabs, stopping, failures))
    thread.start()
    try:
        yield tabs
    finally:
        stopping.set()
        thread.join()
        for tab in tabs:
            tab.close()
    if failures:
        raise failures[0]


def _poll(tabs: list[Tab], stopping: threading.Event, failures: list[BaseException]) -> None:
    try:
        while True:
            tab = min(tabs, key=lambda tab: tab.due_at)
            if stopping.wait(max(0.0, tab.due_at - time.monotonic())):
                return
            tab.poll()
    except (OSError, http.client.HTTPException, BenchError) as error:
        failures.append(error)
