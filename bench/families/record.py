"""Results on disk, a line of JSON each, so that a run can go on where another was stopped."""

import json
from dataclasses import asdict
from pathlib import Path

from bench.families.result import Outcome, Result


def read_results(file: Path) -> dict[str, Result]:
    """Return the results in a file, if it exists, by family; the last of each counts."""
    lines = file.read_text().splitlines() if file.exists() else []
    found = [json.loads(line) for line in lines]
    return {
        values["family"]: Result(**values | {"outcome": Outcome(values["outcome"])})
        for values in found
    }


def append_result(file: Path, result: Result) -> None:
    """Add a result to a file."""
    with file.open("a") as opened:
        opened.write(json.dumps(asdict(result)) + "\n")
