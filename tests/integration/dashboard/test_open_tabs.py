"""Open tabs, as the benchmark of their cost has them: each finds what its page asks for."""

from flask_openapi3.openapi import OpenAPI

from bench.tabs.poller import PAGES, open_tabs
from tests.integration.http_server import serving
from tests.polling import eventually


def test_a_tab_polls_as_its_page_says(app: OpenAPI) -> None:
    with serving(app) as address:
        host, _, port = address.partition(":")
        with open_tabs((host, int(port)), len(PAGES)) as tabs:
            intervals = [tab.interval_s for tab in tabs]
            eventually(lambda: tabs[2].num_polls)

    assert intervals == [3, 3, 3, 60]
