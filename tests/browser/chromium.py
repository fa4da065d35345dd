"""The browser: Chromium of the system or, without that, of the package that other tests install."""

import os
import shutil
import subprocess
from functools import cache

from tests.conftest import ROOT

CLIENTS = ROOT / "tests/acceptance/clients"
AXE = CLIENTS / "node_modules/axe-core/axe.min.js"
ABSENT = "there is neither chromium nor the packages of tests/acceptance/clients: npm ci there"
_NAMES = ("chromium", "chromium-browser", "google-chrome")
_UNPACK = """
    import chromium from "@sparticuz/chromium";
    console.log(await chromium.executablePath());
"""


@cache
def find_chromium() -> str | None:
    """Return the path of the browser; None if there is none."""
    found = next(filter(None, map(shutil.which, (os.environ.get("CHROMIUM", ""), *_NAMES))), None)
    return found or _unpack()


def _unpack() -> str | None:
    """Return the path of the package's browser, which it unpacks into the folder of temporaries."""
    if shutil.which("node") is None or not (CLIENTS / "node_modules/@sparticuz").exists():
        return None
    command = ["node", "--input-type=module", "-e", _UNPACK]
    unpacked = subprocess.run(command, cwd=CLIENTS, capture_output=True, text=True, check=False)
    return unpacked.stdout.strip() or None
