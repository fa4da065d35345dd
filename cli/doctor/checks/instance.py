"""Instances on this machine: one at a time in a data folder, and what a killed one has left."""

import os
from collections.abc import Iterator

from cli.doctor.finding import Finding
from cli.doctor.installation import Installation


def leftovers(at: Installation) -> Iterator[Finding]:
    """Look for processes whose supervisor is gone."""
    if at.is_running:
        return
    left = []
    for path in sorted((at.settings.data_dir / "run").glob("*.pid")):
        text = path.read_text().strip()
        if text.isdecimal() and _is_alive(int(text)):
            left.append(f"{path.stem} ({text})")
    if left:
        yield Finding(
            f"processes of an instance that was killed still run: {', '.join(left)}",
            "they end by themselves within some seconds; else: kill " + " ".join(_pids(left)),
        )


def _pids(left: list[str]) -> list[str]:
    return [entry.rpartition("(")[2].rstrip(")") for entry in left]


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
