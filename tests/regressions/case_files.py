"""Cases: requests that were once answered wrongly, one JSON file each."""

import json
from pathlib import Path
from typing import Any

_FOLDER = Path(__file__).parent / "cases"


def requests_of(name: str) -> list[dict[str, Any]]:
    """Return the requests of a case, each with its `path` and `body`."""
    requests: list[dict[str, Any]] = json.loads((_FOLDER / f"{name}.json").read_text())["requests"]
    return requests
