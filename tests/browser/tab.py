"""Tab of a browser, with what must not happen in it: scripts of others, errors, faults of pages."""

from dataclasses import dataclass, field
from typing import Any

import httpx2 as httpx
from playwright.sync_api import Page

from tests.browser.chromium import AXE

_WATCH = """
    window.violations = [];
    document.addEventListener("securitypolicyviolation", (event) => {
      window.violations.push(`${event.violatedDirective} ${event.blockedURI}`);
    });
"""
_CHECK = "async () => (await axe.run({resultTypes: ['violations']})).violations"
_SERIOUS = ("serious", "critical")


@dataclass
class Tab:
    """A page, and the faults that were seen in it."""

    page: Page
    url: str
    faults: list[str] = field(default_factory=list)

    def watch(self) -> "Tab":
        """Note errors and dialogs from now on."""
        self.page.add_init_script(_WATCH)
        self.page.on("pageerror", lambda error: self.faults.append(str(error)))
        self.page.on("dialog", self._refuse)
        self.page.on("console", self._note)
        return self

    def open(self, path: str) -> Page:
        """Go to a page of the server."""
        self.page.goto(self.url + path)
        return self.page

    def violations(self) -> list[str]:
        """Return what the policy of the page has stopped."""
        found: list[str] = self.page.evaluate("window.violations")
        return found

    def inaccessible(self) -> list[str]:
        """Return the serious faults of the page for people with disabilities, as axe finds them."""
        self.page.evaluate(AXE.read_text())
        found: list[dict[str, Any]] = self.page.evaluate(_CHECK)
        return [
            f"{fault['id']}: {node['html'][:120]} {node['any'][:1]}"
            for fault in found
            if fault["impact"] in _SERIOUS
            for node in fault["nodes"]
        ]

    def overflows(self) -> bool:
        """Return True if the page is wider than the window."""
        script = "document.documentElement.scrollWidth > document.documentElement.clientWidth"
        return bool(self.page.evaluate(script))

    def create(self, **body: Any) -> str:
        """Create a response in the background; return its id."""
        body = {"input": "Hello.", "background": True} | body
        answer = httpx.post(f"{self.url}/v1/responses", json=body)
        assert answer.status_code == 200, answer.text
        return str(answer.json()["id"])

    def _refuse(self, dialog: Any) -> None:
        self.faults.append(f"dialog: {dialog.message}")
        dialog.dismiss()

    def _note(self, message: Any) -> None:
        if message.type == "error":
            self.faults.append(message.text)
